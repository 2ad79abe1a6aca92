"""One call from a file to 3D poses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from posemamba.io.inputs import Input, digest
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import check_choice, choose_people, list_people
from posemamba.poses.ranges import check_fps, check_image_size
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.memory import give_back
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.detect import Detector, Mode, Unfinished
    from posemamba.io.video.clip import Clip
    from posemamba.lifting.lifter import Lifter


from posemamba.io.inputs import find_inputs
from posemamba.poses import NetworkPoses, Poses3D
from posemamba.poses.virtual_camera import Lens, check_fov, check_roll
from posemamba.refine.scale import check_height


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
            of `posemamba.pipeline.lift.Reading`.

    Returns:
        The poses of each chosen person: joints in metres from the camera's centre, x right, y down, z away.

    Raises:
        PoseMambaError: the source cannot be read, holds nobody, or an option does not fit it.
    """
    one = _input(Path(source), keypoints=reading.get("format") is not None)
    try:
        chosen = Reading(person=str(person), **reading)
    except TypeError as error:
        raise PoseMambaError(f"lift: {error}; known are {', '.join(Reading.__dataclass_fields__)}") from None
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


FILM_WIDTH = 36.0
"""Millimetres of 35 mm film along a picture's longer side, to which focal lengths in metadata refer."""
BLAZEPOSE = "blazepose"
SHORT = {"lite": "blazepose-lite", "full": "blazepose-full", "heavy": BLAZEPOSE}
"""Short names of BlazePose's sizes."""
DETECTORS = (
    *SHORT,
    *(BLAZEPOSE, "blazepose-full", "blazepose-lite"),
    *("rtmpose", "rtmpose-lightweight", "rtmpose-performance"),
)
WORDS = {"video": "a video", "pictures": "pictures", "keypoints": "a keypoint file"}
PLURALS = {"video": "videos", "pictures": "pictures", "keypoints": "keypoint files"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options for finding or reading the joints of an input; None: not given, and decided by the input.

    Attributes:
        start, end: seconds from the start of the source; only what lies between is used.
        person: ``longest``, ``largest``, ``left``, ``right``, ``all``, a number from 1 on, or a place ``X,Y``.
        detector: one of DETECTORS, for videos and pictures; short names are kept as the long ones.
        every: search each so many-th frame for people, for videos and pictures; joints in between are interpolated.
        mode: ``track`` or ``detect``, for BlazePose.
        det_model, pose_model: ONNX files for RTMPose.
        fps: frames per second, for keypoint files and pictures.
        format: a format's name (docs/keypoint_formats.md), for keypoint files.
        skeleton: a skeleton's name, for keypoint files.
        image_size: (width, height) in pixels, for keypoint files.
        video: the video that a keypoint file belongs to; gives its frames' times, its size and frame rate.
        allow_damaged: read what can be decoded of a damaged video.
    """

    start: float | None = None
    end: float | None = None
    person: str | None = None
    detector: str | None = None
    every: int | None = None
    mode: str | None = None
    det_model: Path | None = None
    pose_model: Path | None = None
    fps: float | None = None
    format: str | None = None
    skeleton: str | None = None
    image_size: tuple[int, int] | None = None
    video: Path | None = None
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "detector", SHORT.get(self.detector or "", self.detector))

    @property
    def uses_blazepose(self) -> bool:
        return (self.detector or BLAZEPOSE).startswith(BLAZEPOSE)

    def check(self, inputs: Sequence[Input]) -> None:
        """Reject what does not fit the inputs, before any work; options are named as on the command line.

        Raises:
            PoseMambaError: an option that belongs to another kind of input or detector, or has no meaning.
        """
        kinds = {one.kind for one in inputs}
        for needed, names in (
            (("keypoints",), ("format", "skeleton", "image_size", "video")),
            (("keypoints", "pictures"), ("fps",)),
            (("video", "pictures"), ("mode", "detector", "every", "det_model", "pose_model")),
        ):
            for name in names:
                if getattr(self, name) is not None and not kinds & set(needed):
                    raise PoseMambaError(
                        f"--{name.replace('_', '-')} is for {' and '.join(PLURALS[kind] for kind in needed)}, and "
                        f"{inputs[0].path} is taken for {WORDS[inputs[0].kind]}; leave it out"
                    )
        if self.allow_damaged and "video" not in kinds:
            raise PoseMambaError(
                f"--allow-damaged is for videos to lift, and {inputs[0].path} is taken for {WORDS[inputs[0].kind]}; "
                "leave it out"
            )
        if self.fps is not None:
            check_fps("--fps", self.fps)
        if self.image_size is not None:
            check_image_size("--image-size: the image size", *self.image_size)
        if self.video is not None and len(inputs) > 1:
            raise PoseMambaError(
                f"--video belongs to one keypoint file, and there are {len(inputs)} inputs; lift one by one"
            )
        for name in ("start", "end"):
            time = getattr(self, name)
            if time is not None and not (isinstance(time, Real) and np.isfinite(float(time)) and float(time) >= 0):
                raise PoseMambaError(f"--{name} is {time!r}, expected seconds, a number from 0 on")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise PoseMambaError(f"--end is {self.end:g} s, expected more than --start, {self.start:g} s")
        if self.person is not None:
            check_choice(self.person)
        detector = self.detector or BLAZEPOSE
        if detector not in DETECTORS:
            raise PoseMambaError(f"--detector is '{detector}', expected one of {', '.join(DETECTORS)}")
        if self.every is not None and not (isinstance(self.every, Integral) and self.every >= 1):
            raise PoseMambaError(f"--every is {self.every!r}, expected a number of frames, from 1 on")
        if self.mode not in (None, "track", "detect"):
            raise PoseMambaError(f"--mode is '{self.mode}', expected track or detect")
        if not self.uses_blazepose and self.mode is not None:
            raise PoseMambaError(f"--mode is for BlazePose, and --detector is {detector}; leave it out")
        if self.uses_blazepose and (self.det_model or self.pose_model):
            raise PoseMambaError("--det-model and --pose-model are for --detector rtmpose; give that too")

    def clip(self, path: Path, kind: str) -> Clip:
        """Return the part of a source between `start` and `end`."""
        from posemamba.io.video.clip import Clip

        fps = self.fps if kind == "pictures" else None
        return Clip(path, self.start, self.end, fps, self.allow_damaged and kind == "video")

    def mode_of(self, one: Input) -> Mode:
        """Return BlazePose's mode; a single picture has nobody to follow."""
        from posemamba.io.video.image_files import is_animated

        single = one.kind == "pictures" and not one.path.is_dir() and not is_animated(one.path)
        return "detect" if self.mode == "detect" or (self.mode is None and single) else "track"

    def detector_of(self, one: Input) -> str:
        """Return the name of the detector for an input, with its mode, as results record it."""
        name = self.detector or BLAZEPOSE
        return f"{name} {self.mode_of(one)}" if self.uses_blazepose else name

    def interpolated(self, one: Input, frames: int) -> NDArray[np.bool_]:
        """Return the frames of an input that no detector has searched, (frames,): those between, with `every`."""
        searched = np.arange(frames) % (1 if one.kind == "keypoints" else self.every or 1) == 0
        searched[-1:] = True
        return ~searched

    def detection_digest(self, one: Input) -> str:
        """Return a short hash of a video or pictures and of all options on which their 2D joints depend."""
        from posemamba.detect import DETECTION

        options: dict[str, Any] = {
            "detection": DETECTION,
            "detector": self.detector_of(one),
            "part": [self.start, self.end],
            "fps": self.fps if one.kind == "pictures" else None,
            "damaged": self.allow_damaged and one.kind == "video",
        }
        if self.every is not None and self.every > 1:
            options["every"] = int(self.every)
        return digest(options, one.path, self.det_model, self.pose_model)

    def make_detector(self, device: str = "auto", *, mode: Mode = "track") -> Detector:
        """Make the detector for all inputs.

        Args:
            device: where RTMPose runs; BlazePose runs on the CPU.
            mode: BlazePose's, see `mode_of`.

        Raises:
            PoseMambaError: its package or model files are missing.
        """
        name, _, size = (self.detector or BLAZEPOSE).partition("-")
        if name == BLAZEPOSE:
            from posemamba.detect.blazepose import BlazePoseDetector, Size

            return BlazePoseDetector(cast("Size", size or "heavy"), mode=mode)
        from posemamba.detect.rtmpose import RTMPoseDetector

        return RTMPoseDetector(size or "balanced", det_model=self.det_model, pose_model=self.pose_model, device=device)

    def people(
        self, one: Input, *, detector: Detector | None = None, progress: Progress | None = None
    ) -> list[Keypoints2D]:
        """Return the 2D joints of the chosen people of an input.

        Args:
            one, detector, progress: see `everybody`.

        Warns:
            UserWarning: nobody chose one of several people, or pictures have no frame rate.

        Raises:
            PoseMambaError: the input cannot be read, or holds nobody, or not the person that is wanted.
        """
        people = self.everybody(one, detector=detector, progress=progress)
        chosen = self.choose(people)
        if self.person is None and len(people) > 1:
            warnings.warn(
                f"{one.path.name}: {len(people)} people: {list_people(people, chosen)}; choose with person=",
                stacklevel=2,
            )
        return chosen

    def everybody(
        self,
        one: Input,
        *,
        detector: Detector | None = None,
        progress: Progress | None = None,
        unfinished: Unfinished | None = None,
    ) -> list[Keypoints2D]:
        """Return the 2D joints of all people of an input.

        Args:
            one: a video, pictures or a keypoint file.
            detector: from `make_detector`; not used for keypoint files.
            progress: called as progress(frames done, frames to do) while joints are found.
            unfinished: keeps the joints of videos and pictures while they are found, see `detect_people`.

        Warns:
            UserWarning: pictures have no frame rate.

        Raises:
            PoseMambaError: the input cannot be read, or holds nobody.
        """
        return self._read(one.path) if one.kind == "keypoints" else self._find(one, detector, progress, unfinished)

    def choose(self, people: Sequence[Keypoints2D]) -> list[Keypoints2D]:
        """Return those of an input's people whom `person` names; without it the one seen longest.

        Raises:
            PoseMambaError: there is no such person.
        """
        return choose_people(people, self.person or "longest")

    def _find(
        self, one: Input, detector: Detector | None, progress: Progress | None, unfinished: Unfinished | None
    ) -> list[Keypoints2D]:
        from posemamba.detect import detect_people
        from posemamba.io.video.image_files import PICTURES_PER_SECOND

        if one.kind == "pictures":
            require("PIL", "video")
            if self.fps is None and one.path.is_dir():
                warnings.warn(
                    f"{one.path.name}: pictures have no frame rate; assumed: {PICTURES_PER_SECOND:g} frames per second "
                    "(--fps)",
                    stacklevel=2,
                )
        clip = self.clip(one.path, one.kind)
        mode = self.mode_of(one)
        return detect_people(
            clip, mode=mode, detector=detector, progress=progress, unfinished=unfinished, every=self.every or 1
        )

    def _read(self, path: Path) -> list[Keypoints2D]:
        from posemamba.io.keypoints import read_people

        people = read_people(
            path,
            format=self.format or "auto",
            skeleton=self.skeleton,
            fps=self.fps,
            image_size=self.image_size,
            video=self.video,
        )
        if self.start is None and self.end is None:
            return people
        clip = self.clip(path, "keypoints")
        times = people[0].frame_times()
        inside = np.array([clip.holds(t) for t in times - times[0]])
        if not inside.any():
            raise PoseMambaError(
                f"{path}: has no frame between --start and --end, it lasts {times[-1] - times[0]:.2f} s; choose others"
            )
        parts = [p.select(inside) for p in people]
        return [p for p in parts if p.seen.any()] or parts[:1]
