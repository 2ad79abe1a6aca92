"""One call from a file to 3D poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemamba.io.inputs import Input, find_inputs
from posemamba.pipeline.reading import Reading
from posemamba.poses import Keypoints2D, NetworkPoses, Poses3D
from posemamba.poses.virtual_camera import Lens, check_fov, check_roll
from posemamba.refine.scale import check_height
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.memory import give_back
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.lifting.lifter import Lifter

FILM_WIDTH = 36.0
"""Millimetres of 35 mm film along a picture's longer side, to which focal lengths in metadata refer."""


def lift(
    source: str | Path,
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
) -> list[Poses3D]:
    """Lift the people of a video, of pictures or of a keypoint file to 3D.

    >>> (poses,) = lift("walk.mp4")  # poses.xyz: (frames, 17, 3) metres
    >>> everybody = lift("keypoints.json", person="all", fps=25)

    Args:
        source: a video, a picture, a folder of the pictures of a clip, or a file or folder of 2D keypoints.
        person: who is lifted: ``longest`` (seen in most frames), ``largest``, ``left``, ``right``, ``all``, a person's
            number from 1 on, or a place ``X,Y`` in pixels; see `posemamba.choose_people`.
        weights: a bundled name, a weights file, or a released checkpoint.
        device: ``cpu``, ``cuda``, ...; None: an NVIDIA GPU if there is one, else the CPU.
        lifter: used in place of `weights` and `device`; make one for many calls, so that weights are read once.
        height_m: the standing height in metres, of all people; None: a typical one, marked as an estimate.
        fov: the camera's horizontal field of view in degrees; None: as the file says, else a guess, which is marked.
        camera_roll: degrees by which the camera is turned clockwise about its axis; None: not known.
        progress: called as progress(done, total), first while joints are found, then while they are lifted.
        reading: start, end (seconds), detector, mode, fps, format, skeleton, image_size, video and so on: the fields
            of `posemamba.pipeline.reading.Reading`.

    Returns:
        The poses of each chosen person: joints in metres from the camera's centre, x right, y down, z away.

    Raises:
        PoseMambaError: the source cannot be read, holds nobody, or an option does not fit it.
    """
    one = _input(Path(source), keypoints=reading.get("format") is not None)
    chosen = Reading.by_keywords("lift", {"person": str(person), **reading})
    chosen.check([one])
    view = View(fov, camera_roll).checked()
    if height_m is not None:
        check_height(height_m)
    if lifter is None:
        from posemamba.lifting.lifter import Lifter

        lifter = Lifter.from_pretrained(weights, device=device)
    detector = None
    if one.kind != "keypoints":
        detector = chosen.make_detector(device or "auto", mode=chosen.mode_of(one))
    people = chosen.people(one, detector=detector, progress=progress)
    return lift_input(one, chosen, people, lifter, view, [height_m] * len(people), progress)


@dataclass(frozen=True)
class View:
    """The user's knowledge of the camera.

    Attributes:
        fov: horizontal field of view in degrees; None: as the file says, else a guess.
        roll: degrees by which it is turned clockwise about its axis; None: not known.
    """

    fov: float | None = None
    roll: float | None = None

    def checked(self) -> View:
        """Return the view.

        Raises:
            PoseMambaError: an impossible angle.
        """
        if self.fov is not None:
            check_fov(self.fov)
        if self.roll is not None:
            check_roll(self.roll)
        return self

    def lens(self, one: Input, reading: Reading, image_size: tuple[int, int]) -> Lens:
        """Return the lens of an input: as given, as the file or the video of a keypoint file says, or a guess."""
        if self.fov is not None:
            return Lens.of_fov(image_size, self.fov)
        path = reading.video if one.kind == "keypoints" else one.path
        if path is None:
            return Lens()
        from posemamba.io.video.lens import focal_length_35mm

        film = focal_length_35mm(path)
        return Lens() if film is None else Lens(max(image_size) * film / FILM_WIDTH, "file")


def lift_input(
    one: Input,
    reading: Reading,
    people: list[Keypoints2D],
    lifter: Lifter,
    view: View | None = None,
    heights_m: Sequence[float | None] | None = None,
    progress: Progress | None = None,
) -> list[Poses3D]:
    """Lift the people found in an input to metres; the detector goes on the record of each result.

    Args:
        one, reading: the input, and how it is read.
        people: the people found in it.
        lifter: with the weights.
        view: what is known of the camera.
        heights_m: of each person; None: a typical height.
        progress: called as progress(frames done, frames to do).

    Raises:
        PoseMambaError: nobody seen, a skeleton without a conversion, or frame times that do not rise.
    """
    (result,) = lift_found([Found(one, people, tuple(heights_m or ()))], reading, lifter, view, progress)
    if isinstance(result, PoseMambaError):
        raise result
    return result


@dataclass(frozen=True)
class Found:
    """The people that were found in an input, and are to be lifted.

    Attributes:
        one: the input.
        people: whoever is to be lifted.
        heights_m: the standing height of each in metres, None for a typical one; empty: typical ones.
    """

    one: Input
    people: list[Keypoints2D]
    heights_m: tuple[float | None, ...] = ()


def lift_found(
    found: Sequence[Found],
    reading: Reading,
    lifter: Lifter,
    view: View | None = None,
    progress: Progress | None = None,
) -> list[list[Poses3D] | PoseMambaError]:
    """Lift the people found in several inputs, with windows of all in one batch, as `lift_input` does one by one.

    Args:
        found: the inputs, and who was found in them.
        reading, lifter, view, progress: see `lift_input`; progress counts the frames of all.

    Returns:
        The poses of each input, or the error for which it cannot be lifted: the others are lifted all the same.
    """
    view = view or View()
    try:
        together = _lift_network(found, reading, lifter, view, progress)
    except PoseMambaError as error:
        if len(found) == 1:
            return [error]
        # an input in which nobody can be lifted is noticed before the first window is
        return [lift_found([each], reading, lifter, view, progress)[0] for each in found]
    return [_placed(each, reading, poses) for each, poses in zip(found, together, strict=True)]


def _lift_network(
    found: Sequence[Found], reading: Reading, lifter: Lifter, view: View, progress: Progress | None
) -> list[list[NetworkPoses]]:
    """Return what the network gives for the people of each input."""
    people = [keypoints for each in found for keypoints in each.people]
    lenses = [
        lens
        for each in found
        if each.people
        for lens in [view.lens(each.one, reading, each.people[0].image_size)] * len(each.people)
    ]
    between = [reading.interpolated(each.one, len(keypoints)) for each in found for keypoints in each.people]
    lifted = iter(lifter.lift_people(people, lens=lenses, roll=view.roll, progress=progress, interpolated=between))
    return [[next(lifted) for _ in each.people] for each in found]


def _placed(found: Found, reading: Reading, poses: list[NetworkPoses]) -> list[Poses3D] | PoseMambaError:
    """Put the poses of an input into metres and judge them."""
    from posemamba.quality.trust import judge
    from posemamba.refine.metres import to_metres

    one = found.one
    if one.kind != "keypoints":
        name = reading.detector_of(one)
        for keypoints, lifted in zip(found.people, poses, strict=True):
            unsearched = reading.interpolated(one, len(keypoints))
            bridged = keypoints.seen & ~(keypoints.confidence > 0).any(-1)
            lifted.details["detector"] = name
            lifted.details["frames_bridged"] = int(bridged.sum())
            if unsearched.any():
                lifted.details["detected_every"] = int(reading.every or 1)
                lifted.details["frames_interpolated"] = int((keypoints.seen & unsearched).sum())
    metric = []
    for lifted, height in zip(poses, found.heights_m or [None] * len(poses), strict=True):
        try:
            placed = to_metres(lifted, height)
            give_back(len(placed))
            placed.trust = judge(placed)
            metric.append(placed)
        except PoseMambaError as error:
            told = PoseMambaError(f"{one.path}: {error}")
            told.__cause__ = error
            return told
    return metric


def _input(source: Path, keypoints: bool) -> Input:
    if not source.exists():
        raise PoseMambaError(f"{source}: no such file")
    inputs = find_inputs([source], Path(), keypoints=keypoints)
    if len(inputs) != 1:
        raise PoseMambaError(f"{source}: holds {len(inputs)} inputs, expected one; lift each by itself")
    return inputs[0]
