"""One input after another: its joints found or read, lifted, refined, and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemamba.cli.lift.checks import can_draw
from posemamba.cli.lift.keypoints import clip_of, find_joints, mode_of, read_joints
from posemamba.cli.lift.options import Options
from posemamba.cli.lift.refinement import refine_options
from posemamba.cli.lift.report import report
from posemamba.cli.lift.results import Results, is_done, write_results
from posemamba.io.inputs import Input, digest
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Stages

if TYPE_CHECKING:
    from posemamba.detect import Detector
    from posemamba.io.video import Clip
    from posemamba.lifting.lifter import Lifter
    from posemamba.poses import Keypoints2D


class FatalError(PoseMambaError):
    """Wrong for every input: the others are not tried."""


class Worker:
    """Lifts one input after another; weights and detectors are loaded once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._lifter: Lifter | None = None
        self._detector: Detector | None = None

    def lifter(self) -> Lifter:
        if self._lifter is None:
            from posemamba.lifting.lifter import Lifter

            o = self.options
            self._lifter = _fatal(lambda: Lifter.from_pretrained(o.weights, device=o.device, flip=o.flip))
        return self._lifter

    def detector(self) -> Detector | None:
        """RTMPose, or None: MediaPipe, which remembers the clip and is made anew for each."""
        name = self.options.detector or "mediapipe"
        if name != "mediapipe" and self._detector is None:
            from posemamba.detect.rtmpose import RTMPoseDetector

            o = self.options
            size = name.partition("-")[2] or "balanced"
            device = "auto" if o.device == "auto" else o.device
            self._detector = _fatal(
                lambda: RTMPoseDetector(size, det_model=o.det_model, pose_model=o.pose_model, device=device)
            )
        return self._detector

    def do(self, one: Input) -> None:
        """Lift one input, unless it is done, and say what was written.

        Raises:
            PoseMambaError: it cannot be lifted; nothing was written.
        """
        o = self.options
        if not one.path.exists():
            raise PoseMambaError(f"{one.path}: no such file")
        overlay = o.overlay
        if overlay is None:
            overlay = can_draw(must=one.kind != "keypoints" or o.video is not None)
        call = self._digest(one, overlay)
        if not o.again and is_done(one.out, call):
            print(f"{one.path.name}: done already, of the same input with the same options (--again does it again)")
            print(f"  {one.out}")
            return
        stages = Stages()
        people = self._keypoints(one, stages)
        if o.heights and len(o.heights) not in (1, len(people)):
            raise PoseMambaError(
                f"{one.path}: --height names {len(o.heights)} heights for {len(people)} people; give one for all "
                "or one for each"
            )
        lifter = self.lifter()
        with stages("lifting") as progress:
            poses = lifter.lift_people(people, progress=progress)
        for keypoints, lifted in zip(people, poses, strict=True):
            bridged = keypoints.seen & ~(keypoints.confidence > 0).any(-1)
            if one.kind != "keypoints":
                name = o.detector or "mediapipe"
                lifted.details["detector"] = f"{name} {mode_of(one, o)}" if name == "mediapipe" else name
                lifted.details["frames_bridged"] = int(bridged.sum())
        results = Results(poses, numbered=o.person == "all", overlay=overlay, viewer=o.viewer, call=call)
        if o.wants_motion:
            with stages("refining"):
                self._refine(results)
        behind = self._behind(one)
        results.video, results.sound = behind, isinstance(behind, Path) and one.kind != "pictures"
        results.viewer_video = o.viewer_video
        written = write_results(one.out, results, stages)
        report(one, results, written, stages)

    def _digest(self, one: Input, overlay: bool) -> str:
        from posemamba.utils.version import __version__

        o = self.options
        same = replace(o, sources=(), out=Path(), again=False, device="", overlay=overlay, video=None)
        options = {"version": __version__, "options": repr(same)}
        from posemamba.weights.names import find
        from posemamba.weights.shards import parts

        try:
            weights = parts(find(o.weights))
        except PoseMambaError:
            weights = [Path(o.weights)]  # its reader will complain
        return digest(options, one.path, o.video, *weights, o.det_model, o.pose_model)

    def _behind(self, one: Input) -> Path | Clip | None:
        """What the overlay shows behind the joints."""
        path = self.options.video if one.kind == "keypoints" else one.path
        if path is None:
            return None
        clip = clip_of(path, one.kind, self.options)
        return path if clip.is_whole and one.kind != "pictures" else clip

    def _keypoints(self, one: Input, stages: Stages) -> list[Keypoints2D]:
        """The chosen people's 2D joints."""
        if one.kind == "keypoints":
            return read_joints(one.path, self.options)
        self.lifter()  # wrong weights are told before the long work
        return find_joints(one, self.options, self.detector(), stages)

    def _refine(self, results: Results) -> None:
        from posemamba.refine import joint_angles, refine

        o = self.options
        heights = o.heights * len(results.poses) if len(o.heights) == 1 else o.heights or (None,) * len(results.poses)
        for poses, height in zip(results.poses, heights, strict=True):
            results.motions.append(refine(poses, refine_options(o.refine, height, o.exports)))
        if o.angles:
            results.angles = [joint_angles(motion) for motion in results.motions]
        results.exports = o.exports


def _fatal(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except PoseMambaError as error:
        raise FatalError(str(error)) from error
