"""Many files lifted in one call, with windows of many clips in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from posemamba.io.inputs import Input, find_inputs
from posemamba.pipeline.lift import Found, View, lift_found
from posemamba.pipeline.reading import Reading
from posemamba.poses import Poses3D
from posemamba.refine.scale import check_height
from posemamba.utils.ahead import ahead
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.detect import Detector
    from posemamba.lifting.lifter import Lifter

FRAMES, CLIPS = 20_000, 256
"""The most frames, of all people, and the most clips that are lifted together: some tens of megabytes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Lifted:
    """Outcome of one file.

    Attributes:
        path: the file, or folder.
        poses: of each chosen person; empty: it could not be lifted.
        error: why not, in one line.
    """

    path: Path
    poses: list[Poses3D] = field(default_factory=list)
    error: PoseMambaError | None = None


def lift_many(
    sources: Sequence[str | Path],
    *,
    person: str | int = "longest",
    weights: str | Path = "posemamba-s",
    device: str | None = None,
    lifter: Lifter | None = None,
    height_m: float | None = None,
    fov: float | None = None,
    camera_roll: float | None = None,
    progress: Progress | None = None,
    **reading: Any,
) -> Iterator[Lifted]:
    """Lift many keypoint files, videos or pictures, and yield each as it is done; one that fails stops no other.

    Windows of many keypoint files are lifted in one batch, which keeps a GPU busy with short clips. Files are read in a
    thread ahead of their lifting.

    >>> for lifted in lift_many(["a.npz", "b.npz"]):
    ...     print(lifted.path, lifted.error or len(lifted.poses[0]))

    Args:
        sources: files, or folders of them, in the order in which they are yielded.
        person, weights, device, lifter, height_m, fov, camera_roll, reading: see `posemamba.lift`.
        progress: called as progress(files done, files to do).

    Raises:
        PoseMambaError: an option does not fit the sources, or weights are not there. What is wrong with one file alone
            is in its `Lifted.error`.
    """
    inputs = find_inputs([Path(source) for source in sources], Path(), keypoints=reading.get("format") is not None)
    chosen = Reading.by_keywords("lift_many", {"person": str(person), **reading})
    if inputs:
        chosen.check(inputs)
    view = View(fov, camera_roll).checked()
    if height_m is not None:
        check_height(height_m)
    if lifter is None:
        from posemamba.lifting.lifter import Lifter

        lifter = Lifter.from_pretrained(weights, device=device)
    return _lift_all(inputs, chosen, view, lifter, height_m, device, progress)


def _lift_all(
    inputs: Sequence[Input],
    reading: Reading,
    view: View,
    lifter: Lifter,
    height_m: float | None,
    device: str | None,
    progress: Progress | None,
) -> Iterator[Lifted]:
    done = 0
    found = _found(inputs, reading, height_m, device)
    with ahead(batches(found, _frames), most=1) as groups:
        for group in groups:
            able = [each for each in group if isinstance(each, Found)]
            poses = iter(lift_found(able, reading, lifter, view))
            for each in group:
                result = next(poses) if isinstance(each, Found) else each.error
                path = each.one.path if isinstance(each, Found) else each.path
                done += 1
                if progress is not None:
                    progress(done, len(inputs))
                yield Lifted(path, result) if isinstance(result, list) else Lifted(path, error=result)


def _found(
    inputs: Sequence[Input], reading: Reading, height_m: float | None, device: str | None
) -> Iterator[Found | Lifted]:
    """Yield who is in each input, or why that is not known."""
    detectors: dict[str, Detector] = {}
    for one in inputs:
        try:
            if not one.path.exists():
                raise PoseMambaError(f"{one.path}: no such file")
            detector = None
            if one.kind != "keypoints":
                mode = reading.mode_of(one)
                if mode not in detectors:
                    detectors[mode] = reading.make_detector(device or "auto", mode=mode)
                detector = detectors[mode]
            people = reading.people(one, detector=detector)
            yield Found(one, people, (height_m,) * len(people))
        except PoseMambaError as error:
            yield Lifted(one.path, error=error)


def _frames(found: Found | Lifted) -> int:
    return sum(map(len, found.people)) if isinstance(found, Found) else 0


def batches(
    items: Iterable[T], frames: Callable[[T], int], most_frames: int = FRAMES, most: int = CLIPS
) -> Iterator[list[T]]:
    """Put items, in order, into groups of so many frames and so many items at the most; none is empty."""
    group: list[T] = []
    total = 0
    for item in items:
        more = frames(item)
        if group and (total + more > most_frames or len(group) == most):
            yield group
            group, total = [], 0
        group.append(item)
        total += more
    if group:
        yield group
