"""Damage real videos with a reference, lift them, and print the verdicts beside the true errors (docs/quality.md).

The folder is that of `studies.real_video`. Each view is lifted as it is, and damaged: upside down, with 20 black
pictures after every 20 others, blurred, cropped above the ankles, cropped below the hips, with a bar over the legs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.views.scores import pose_errors
from posemamba.io.video.reading import read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.lifting.lifter import Lifter
from posemamba.pipeline.lift import lift
from posemamba.quality.trust import judge
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.tables import markdown_table
from studies.command_line import report, study_parser
from studies.real_video import View

Picture = NDArray[np.uint8]
BLACK = 20  # frames
BLUR = 24
"""Pixels that become one."""
Change = Callable[[Picture, int, NDArray[np.float64]], Picture]
"""Damages picture number i of a view whose joints lie at (F, 17, 2) pixels."""


def _level(xy: NDArray[np.float64], low: tuple[int, ...], high: tuple[int, ...], share: float) -> int:
    """Return the row at a share of the way between two groups of joints, in the middle of the clip."""
    a, b = (float(np.nanmedian(xy[:, list(group), 1])) for group in (low, high))
    return int(a + share * (b - a))


def _below_hips(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    return picture[: _level(xy, (0,), (2, 5), 0.25)]


def _above_ankles(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    return picture[: _level(xy, (2, 5), (3, 6), 0.4)]


def _upside_down(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    return picture[::-1, ::-1]


def _black(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    return picture if (i // BLACK) % 2 == 0 else np.zeros_like(picture)


def _blurred(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    from PIL import Image

    height, width = picture.shape[:2]
    small = Image.fromarray(picture).resize((width // BLUR, height // BLUR)).resize((width, height))
    noise = np.random.default_rng(i).normal(0, 25, picture.shape)
    return np.clip(np.asarray(small) + noise, 0, 255).astype(np.uint8)


def _bar(picture: Picture, i: int, xy: NDArray[np.float64]) -> Picture:
    pelvis = xy[min(i, len(xy) - 1), 0, 1]
    covered = picture.copy()
    covered[int(pelvis if np.isfinite(pelvis) else np.nanmedian(xy[:, 0, 1])) :] = (90, 100, 80)
    return covered


DAMAGES: dict[str, Change] = {
    "none": lambda picture, i, xy: picture,
    "upside down": _upside_down,
    "black half of the time": _black,
    "blurred": _blurred,
    "cropped above the ankles": _above_ankles,
    "cropped below the hips": _below_hips,
    "a bar over the legs": _bar,
}


def write_damaged(video: Path, out: Path, view: View, change: Change) -> None:
    """Write a damaged copy of a video."""
    xy = view.project()
    with VideoWriter(out, 60) as writer:
        for i, frame in enumerate(read_frames(video)):
            writer.write(np.ascontiguousarray(change(frame.rgb, i, xy)), frame.time)


def measure(folder: Path, weights: str) -> str:
    """Return the table in Markdown."""
    videos = sorted((folder / "videos").glob("*.mp4"))
    if not videos:
        raise PoseMambaError(f"{folder}: no videos/*.mp4, expected a folder of calibrated views")
    lifter, rows = Lifter.from_pretrained(weights), []
    for name, change in DAMAGES.items():
        errors, expected, words = [], [], []
        for video in videos:
            view = View.read(folder / "reference" / f"{video.stem}.npz")
            with tempfile.TemporaryDirectory() as temporary:
                damaged = Path(temporary) / video.name
                write_damaged(video, damaged, view, change)
                try:
                    (poses,) = lift(damaged, lifter=lifter)
                except PoseMambaError:
                    words.append("nobody found")
                    continue
            turned = np.array([-1, -1, 1]) if change is _upside_down else 1
            frames = min(len(poses), len(view.xyz))
            errors.append(pose_errors(poses.xyz[:frames], view.xyz[:frames] * turned, view.valid[:frames]).p1)
            trust = judge(poses)
            words.append(trust.word)
            expected.append(trust.expected_mm)
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        rows.append([name, _range(errors), _range([e for e in expected if e is not None]), counts])
    return markdown_table(["damage", "P1", "expected", "verdicts"], rows)


def _range(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f}" if values else ""


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = study_parser("damaged_views", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds videos/ and reference/")
    parser.add_argument("--weights", default="posemamba-s", help="a bundled name, or a weights file")
    given = parser.parse_args(arguments)
    return report(lambda: print(measure(given.folder, given.weights)))


if __name__ == "__main__":
    sys.exit(main())
