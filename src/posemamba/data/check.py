"""``posemamba data check``: which data sets lie in a folder, what they hold, and the first thing that is wrong.

Another data set is one more entry of `DATA_SETS`: its files' names and a function that yields lines about them and
raises `PoseMambaError` at the first thing that is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemamba.data.human36m import cache as human36m_cache
from posemamba.data.human36m import dataset as human36m
from posemamba.data.human36m import file as human36m_file
from posemamba.data.human36m import videopose3d
from posemamba.data.mpi_inf_3dhp import dataset as mpi_inf_3dhp
from posemamba.data.mpi_inf_3dhp import file as mpi_inf_3dhp_file
from posemamba.utils.errors import PoseMambaError

CLIP, TRAIN_STRIDE = 243, 81  # the paper's


@dataclass(frozen=True)
class DataSet:
    """A data set as its users have it.

    Attributes:
        key, name: for the program, and for people.
        files: names of its files.
        suffix: of a single file that is given under another name; None: there is no such.
        report: file's name to where it was found (at least one) -> lines, without indentation.
    """

    key: str
    name: str
    files: tuple[str, ...]
    suffix: str | None
    report: Callable[[dict[str, Path]], Iterator[str]]

    def find(self, path: Path) -> dict[str, Path]:
        """Those of its files that are there: `path` itself, or in the folder `path` and its subfolders."""
        if path.is_file():
            if path.name in self.files:
                return {path.name: path}
            known = any(path.name in other.files for other in DATA_SETS)
            return {self.files[0]: path} if path.suffix == self.suffix and not known else {}
        found = {}
        for name in self.files:
            if places := sorted(path.rglob(name), key=lambda p: (len(p.parts), p)):
                found[name] = places[0]
        return found


def recognise(path: str | Path) -> list[tuple[DataSet, dict[str, Path]]]:
    """The data sets of which a file is at `path`, with those files.

    Raises:
        PoseMambaError: none; says what was looked for, and where.
    """
    path = Path(path)
    known = "; ".join(f"{d.name}: {' and '.join(d.files)}" for d in DATA_SETS)
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file or folder; expected a data set's file or its folder ({known})")
    if there := [(d, files) for d in DATA_SETS if (files := d.find(path))]:
        return there
    if path.is_file():
        raise PoseMambaError(f"{path}: not a data set's file; expected one of {known}")
    folders = sum(p.is_dir() for p in path.rglob("*"))
    packed = "".join(f"; {p} is there: unpack it" for d in DATA_SETS for p in _packed(path, d))
    raise PoseMambaError(f"{path}: no data set's file in this folder or its {folders} subfolders ({known}){packed}")


def _packed(path: Path, data: DataSet) -> list[Path]:
    return sorted(p for name in data.files for p in path.rglob(f"{Path(name).stem}*.zip"))[:1]


def check(path: str | Path) -> Iterator[str]:
    """Lines about each data set at `path`.

    Raises:
        PoseMambaError: no data set, or the first thing that is wrong with one.
    """
    path = Path(path)
    for data, files in recognise(path):
        yield data.name
        for name in data.files:
            if name in files:
                yield f"  {name}: {files[name]}, {files[name].stat().st_size / 1e6:,.1f} MB"
            elif path.is_dir():
                yield f"  {name}: missing, looked for in {path} and its subfolders"
        for line in data.report(files):
            yield f"  {line}"
        yield "  nothing wrong was found"


def _human36m(files: dict[str, Path]) -> Iterator[str]:
    file = files[human36m_file.FILE]
    yield human36m_cache.describe(file)
    for name, split in human36m_file.read_file(file).items():
        videos = split.videos
        yield f"{name}: {len(split):,} frames (the published file: {_PUBLISHED[name]:,}), {len(videos)} videos"
        yield f"  subjects: {_counted(Counter(v.subject for v in videos), human36m_file.SUBJECTS[name])}"
        yield f"  actions: {_counted(Counter(v.action for v in videos))}"
        yield f"  cameras: {_counted(Counter(v.camera for v in videos), tuple(human36m_file.CAMERAS))}"
        for field, unit in _FIELDS.items():
            array = getattr(split, _ATTRIBUTES.get(field, field))
            if array is None and field == "confidence":
                yield "  confidence: missing, taken for 1"
            elif array is not None:  # the others that may be missing are of the test split only
                low, high = (f"{float(of(array)):.6g}" for of in (np.min, np.max))
                yield f"  {field}: {array.shape} {array.dtype}, {low} to {high}{unit}"
        stride = TRAIN_STRIDE if name == "train" else CLIP
        clips = human36m.cut_clips(videos, CLIP, stride)
        short = sum(v.length < CLIP for v in videos)
        yield f"  clips of {CLIP} frames every {stride}: {len(clips):,}; shorter videos, stretched: {short}"
        if name == "test":
            blocked = [v for v in videos if v.blocked]
            tails = sum(v.length % CLIP for v in videos if not v.blocked and v.length >= CLIP)
            yield f"  blocked videos, never scored: {len(blocked)}, {sum(v.length for v in blocked):,} frames"
            yield f"  frames in tails, which protocol paper does not score: {tails:,}"
            yield f"  label times factor differs from the target by {_disagreement(split):.3g} mm at most"


_PUBLISHED = {"train": 1_559_752, "test": 566_920}
_FIELDS = {
    "joint_2d": " pixels",
    "confidence": "",
    "joint3d_image": " pixels",
    human36m_file.FACTOR: " mm per pixel",
    human36m_file.TARGET: " mm",
}
_ATTRIBUTES = {human36m_file.FACTOR: "factor", human36m_file.TARGET: "target_mm"}


SHOWN = 20  # Human3.6M has 15 actions; motion capture in its layout has a hundred


def _counted(counts: Counter, expected: tuple = ()) -> str:
    """Which there are, with the number of videos, and which of the expected ones are not."""
    missing = [str(e) for e in expected if e not in counts]
    there = ", ".join(f"{value} ({count})" for value, count in sorted(counts.items())[:SHOWN])
    if len(counts) > SHOWN:
        there = f"{len(counts)} kinds: {there}, and {len(counts) - SHOWN} more"
    return there + (f"; not there: {', '.join(missing)}" if missing else "")


def _disagreement(split: human36m_file.RawSplit) -> float:
    """Largest distance between the label in millimetres and the target, both relative to joint 0."""
    assert split.factor is not None and split.target_mm is not None  # checked when it was read
    worst = 0.0
    for begin in range(0, len(split), 1 << 16):
        frames = slice(begin, begin + (1 << 16))
        difference = split.joint3d_image[frames] * split.factor[frames, None, None] - split.target_mm[frames]
        worst = max(worst, float(np.abs(difference - difference[:, :1]).max()))
    return worst


DATA_SETS: tuple[DataSet, ...] = (
    DataSet("human36m", "Human3.6M, preprocessed", (human36m_file.FILE,), ".pkl", _human36m),
    DataSet("videopose3d", "Human3.6M, VideoPose3D's files", (videopose3d.FILE,), None, videopose3d.describe),
    DataSet(
        "mpi_inf_3dhp",
        "MPI-INF-3DHP",
        (mpi_inf_3dhp_file.TRAIN_FILE, mpi_inf_3dhp_file.TEST_FILE),
        None,
        mpi_inf_3dhp.describe,
    ),
)
