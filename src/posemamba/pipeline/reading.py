"""Options for finding or reading the joints of an input, and their checks before any work."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
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
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.detect import Detector, Mode, Unfinished
    from posemamba.io.video.clip import Clip

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

    @classmethod
    def by_keywords(cls, function: str, options: Mapping[str, Any]) -> Reading:
        """Return the options that a function of the user's was given by keywords.

        Raises:
            PoseMambaError: there is no such option.
        """
        try:
            return cls(**options)
        except TypeError as error:
            raise PoseMambaError(f"{function}: {error}; known are {', '.join(cls.__dataclass_fields__)}") from None

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
