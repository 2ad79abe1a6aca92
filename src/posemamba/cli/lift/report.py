"""What is said of an input that is done."""

from __future__ import annotations

from pathlib import Path

from posemamba.cli.lift.results import Results
from posemamba.io.inputs import Input
from posemamba.utils.progress import Stages

UNITS_NOTE = (
    "3D joints are relative to the pelvis, in the camera's frame (x right, y down, z away), in pixels at the "
    "pelvis's depth: one camera does not tell how many of them are a metre."
)


def report(one: Input, results: Results, written: list[Path], stages: Stages) -> None:
    """Print what was lifted and written, how far it can be trusted, and what its numbers mean."""
    first = results.poses[0]
    times = first.keypoints.frame_times()
    if results.numbered or first.keypoints.person != 1:
        seen = "; ".join(f"person {p.keypoints.person} seen in {int(p.seen.sum())}" for p in results.poses)
    else:
        seen = f"person seen in {int(first.seen.sum())}"
    print(f"{one.path.name}: {len(first)} frames ({times[-1] - times[0] + 1 / first.fps:.1f} s), {seen}; {stages}")
    for path in written:
        print(f"  {path}")
    for text, files in results.notes.items():
        print(f"  {', '.join(files)}: {text}")
    from posemamba.quality.verdict import verdicts

    for line in verdicts(results.poses, results.motions):
        print(f"Quality: {line}")
    if not results.motions:
        print(UNITS_NOTE)
        return
    motion = results.motions[0]
    steps = ", ".join(step.name + (" (estimated)" if step.estimate else "") for step in motion.steps)
    print(f"The motion files hold: {steps or 'the poses as the model gave them'}; {motion.units}s, {motion.frame}.")
    print(f"In poses: {UNITS_NOTE}")
