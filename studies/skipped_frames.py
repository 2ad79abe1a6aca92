"""Score lifting where a detector searches only each N-th frame of motion capture, and the others are filled in.

The mocap benchmark's scenes are made at the wanted frame rates, with its detector's errors in every frame
(docs/mocap_benchmark.md). Of each N frames one is kept; the others are filled as ``posemamba lift --every N`` fills
them (`posemamba.detect.between`). The table has P1 / P2 in millimetres over all frames, normalised as in the benchmark.
On real video: ``python -m studies.real_video FOLDER --every N``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.data.mocap.motions import load_motions
from posemamba.detect.between import fill_between
from posemamba.evaluate.mocap.benchmark import model_predictor
from posemamba.evaluate.mocap.scenes import CAMERAS, make_scene
from posemamba.lifting.lifter import INTERPOLATED, Lifter
from studies.command_line import report, study_parser

EVERY = (1, 2, 3, 4)


def skipped(joints: NDArray[np.float32], every: int, fps: float) -> NDArray[np.float32]:
    """Return (F, J, 3), joints with the confidence that the model is given, found in each `every`-th frame alone."""
    frames = np.arange(len(joints))
    searched = frames[(frames % every == 0) | (frames == len(joints) - 1)]
    xy, confidence = fill_between(joints[searched, :, :2], joints[searched, :, 2], searched, frames / fps)
    given = np.where(np.isin(frames, searched)[:, None], confidence, INTERPOLATED * confidence)
    return np.concatenate([xy, given[..., None]], -1).astype(np.float32)


def score(weights: str, rates: Sequence[float], folder: Path | None, step: int) -> str:
    """Return the table: a row for each frame rate, of each `step`-th test clip with one camera."""
    lifter = Lifter.from_pretrained(weights, device="cpu", flip=False)
    predict = model_predictor(
        lifter.model, window=lifter.window, overlap=lifter.overlap, flip=False, person_size=lifter.person_size
    )
    motions = load_motions(folder, "test")
    lines = [
        "| frames per second | " + " | ".join(f"N = {every}" for every in EVERY) + " |",
        "|---" * (1 + len(EVERY)) + "|",
    ]
    for fps in rates:
        errors: dict[int, list[NDArray[np.float64]]] = {every: [] for every in EVERY}
        for clip in range(0, len(motions), step):
            scene = make_scene(motions, clip, (clip % CAMERAS,), fps=fps, look=True)
            for every, found in errors.items():
                given = skipped(scene.inputs("noisy")[0], every, fps)
                measured = scene.errors(predict(given[None]))
                found.append(np.stack([measured["p1"][0], measured["p2"][0]], -1))
        means = [np.concatenate(found).mean(0) for found in errors.values()]
        lines.append(f"| {fps:g} | " + " | ".join(f"{p1:.1f} / {p2:.1f}" for p1, p2 in means) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("skipped_frames", __doc__)
    parser.add_argument("--weights", default="posemamba-s", help="a bundled name, or a weights file")
    parser.add_argument("--data", type=Path, help="folder of the motion capture files")
    parser.add_argument("--fps", type=float, nargs="+", default=[30.0, 60.0], help="frames per second")
    parser.add_argument("--step", type=int, default=1, help="take each so many-th test clip")
    given = parser.parse_args(arguments)
    return report(lambda: print(score(given.weights, given.fps, given.data, given.step)))


if __name__ == "__main__":
    sys.exit(main())
