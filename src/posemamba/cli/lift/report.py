"""The printed report of one input: what was lifted and written, how far to trust it, what its numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.cli.lift.results import SHEET, Results, has_sheet
from posemamba.io.inputs import Input
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.poses.keypoints import list_people
from posemamba.poses.times import find_pauses
from posemamba.utils.progress import Stages

if TYPE_CHECKING:
    from posemamba.poses import Poses3D


def report(
    one: Input,
    results: Results,
    written: list[Path],
    stages: Stages,
    number: str = "",
    said: set[str] | None = None,
) -> None:
    """Print what was lifted and written, how far it can be trusted, and what its numbers mean.

    Args:
        one, results, written, stages: the input, and what was made of it.
        number: of the input among several, before its name.
        said: notes that were printed before, which are left out; the new ones are put into it.
    """
    said = set() if said is None else said
    from posemamba.quality.trust import verdicts

    first = results.poses[0]
    times = first.keypoints.frame_times()
    if results.numbered or first.person != 1:
        seen = "; ".join(f"person {p.person} seen in {int(p.seen.sum())}" for p in results.poses)
    else:
        seen = f"person seen in {int(first.seen.sum())}"
    kept = f"joints kept by an earlier call ({KEYPOINTS}), " if results.kept else ""
    length = f"{len(first)} frames ({times[-1] - times[0] + 1 / first.fps:.1f} s)"
    print(f"{number}{one.path.name}: {'1 picture' if len(first) == 1 else length}, {seen}; {kept}{stages}")
    if len(results.people) > 1:
        print(f"  {tell_people(results)}")
    if pauses := _pauses(times, float(first.details.get("max_gap_seconds", 1))):
        print(f"  {pauses}")
    for path in written:
        print(f"  {path}")
    for text, files in results.notes.items():
        _say(f"  {', '.join(files)}: {text}", said)
    for line in verdicts(results.poses):
        print(f"Quality: {line}")
    for line in units_note(results.poses).splitlines():
        _say(line, said)


def _pauses(times: NDArray[np.float64], longest: float) -> str:
    """Return a line about the pauses without frames, at which the clip is cut; empty if there is none."""
    before = np.flatnonzero(find_pauses(times, longest))
    if not len(before):
        return ""
    spans = [f"{times[i]:.2f}-{times[i + 1]:.2f} s" for i in before[:3]]
    more = f" and {len(before) - 3} more" if len(before) > 3 else ""
    return f"no frames at {', '.join(spans)}{more}: what comes before and after is lifted apart"


def _say(line: str, said: set[str]) -> None:
    if line not in said:
        print(line)
    said.add(line)


def units_note(people: Sequence[Poses3D]) -> str:
    """Return the lines that say what the numbers in the results mean, and on which guesses they rest."""
    first = people[0]
    where = "camera's axes (x right, y down, z away), from the camera's centre"
    if first.frame == "world":
        where = "upright world (x right, y away, z up), from the floor below the camera"
    refined = ", ".join(step.name + (" (estimated)" if step.estimate else "") for step in first.refined)
    lines = [f"3D joints are in metres in the {where}" + (f"; refined: {refined}." if refined else ".")]
    camera = first.network.camera
    fov = f"a field of view of {camera.fov(first.keypoints.image_size):.0f} degrees across the picture"
    known = {"given": " (--fov)", "file": ", as the file says", "guess": ", a guess (--fov)"}
    rests = fov + known[camera.lens]
    heights = [step for step in first.steps if step.name == "scale"]
    if heights and heights[-1].estimate:
        rests += f", and on a typical body of {heights[-1].parameters['height_m']:.2f} m (--height)"
    elif heights:
        rests += ", and on the given height"
    lines.append(f"Sizes and distances rest on {rests}.")
    return "\n".join(lines)


def tell_people(results: Results) -> str:
    """Return the line that says who is in the picture, who was taken, and how to choose."""
    listed = list_people(results.people, [poses.keypoints for poses in results.poses])
    seen = f"see {SHEET}, " if has_sheet(results) else ""
    return f"{len(results.people)} people: {listed}; {seen}choose with --person"
