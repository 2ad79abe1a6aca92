"""What ``posemamba lift`` does: finds inputs, lifts each, refines, and writes each one's results together."""

from __future__ import annotations

import json
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from posemamba.errors import PoseMambaError, require
from posemamba.inputs import Input, digest, find_inputs
from posemamba.stages import Stages

if TYPE_CHECKING:
    from posemamba.detect import Detector, Mode
    from posemamba.lift import Lifter
    from posemamba.poses import Keypoints2D, Motion3D, Poses3D
    from posemamba.refine import RefineOptions
    from posemamba.video import Clip

DETECTORS = ("mediapipe", "rtmpose", "rtmpose-lightweight", "rtmpose-performance")
UNITS_NOTE = (
    "3D joints are relative to the pelvis, in the camera's frame (x right, y down, z away), in pixels at the "
    "pelvis's depth: one camera does not tell how many of them are a metre."
)
# what this command writes into a folder; of several people with their numbers
_RESULT = re.compile(
    r"overlay\.mp4|viewer\.html|(poses|motion)(_\d+)?\.(npz|json)|angles(_\d+)?\.csv"
    r"|motion(_\d+)?\.(csv|tidy\.csv|trc|bvh|glb)"
)


@dataclass(frozen=True)
class Options:
    """Of the command line; None: not given.

    Attributes:
        sources, out: files or folders; the folder for results.
        weights, flip, device: of the lifter.
        start, end: seconds.
        fps: of keypoints and pictures.
        format, skeleton, image_size, video: of keypoint files.
        person: longest, largest, all or a number.
        detector, mode, det_model, pose_model: of videos and pictures.
        refine: the options of refinement by name, without `height_m`.
        heights: metres; one for all people, or one for each.
        angles: write them.
        exports: names in `posemamba.export3d.EXPORTS`.
        overlay: None: where it can be drawn.
        viewer, viewer_video: write the page; with the video's pictures.
        again: also what is done already.
    """

    sources: tuple[Path, ...]
    out: Path
    weights: str = "posemamba-s"
    flip: bool = True
    device: str = "auto"
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    format: str | None = None
    skeleton: str | None = None
    image_size: tuple[int, int] | None = None
    video: Path | None = None
    person: str | None = None
    detector: str | None = None
    mode: str | None = None
    det_model: Path | None = None
    pose_model: Path | None = None
    refine: tuple[tuple[str, Any], ...] = ()
    heights: tuple[float, ...] = ()
    angles: bool = False
    exports: tuple[str, ...] = ()
    overlay: bool | None = None
    viewer: bool = True
    viewer_video: bool = False
    again: bool = False

    @property
    def wants_motion(self) -> bool:
        return bool(self.refine or self.heights or self.angles or self.exports)


class _FatalError(PoseMambaError):
    """Wrong for every input: the others are not tried."""


def lift(options: Options) -> int:
    """Lift all inputs; the exit code: 0, 1 if some failed, 2 if all of several did.

    Raises:
        PoseMambaError: options that do not fit, or the only input cannot be lifted.
    """
    inputs = find_inputs(options.sources, options.out, keypoints=options.format is not None)
    _check_options(options, inputs)
    for one in inputs:
        check_out(one.out, one.path)
    worker = _Worker(options)
    if len(inputs) == 1:
        worker.do(inputs[0])
        return 0
    failed = 0
    for one in inputs:
        try:
            worker.do(one)
        except _FatalError:
            raise
        except PoseMambaError as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr, flush=True)
            failed += 1
    if failed:
        print(f"{len(inputs) - failed} of {len(inputs)} inputs are done, {failed} failed", file=sys.stderr)
    return 0 if not failed else 2 if failed == len(inputs) else 1


# --- before the work


def _check_options(options: Options, inputs: Sequence[Input]) -> None:
    """Say now, and not after all the work, what does not fit."""
    kinds = {one.kind for one in inputs}
    words = {"video": "a video", "pictures": "pictures", "keypoints": "a keypoint file"}
    for needed, given in (
        (("keypoints",), {"--format": options.format, "--skeleton": options.skeleton}),
        (("keypoints",), {"--image-size": options.image_size, "--video": options.video}),
        (("keypoints", "pictures"), {"--fps": options.fps}),
        (("video", "pictures"), {"--mode": options.mode, "--detector": options.detector}),
        (("video", "pictures"), {"--det-model": options.det_model, "--pose-model": options.pose_model}),
    ):
        for name, value in given.items():
            if value is not None and not kinds & set(needed):
                what = {"keypoints": "keypoint files", "video": "videos", "pictures": "pictures"}
                raise PoseMambaError(
                    f"{name} is for {' and '.join(what[kind] for kind in needed)}, and {inputs[0].path} is taken for "
                    f"{words[inputs[0].kind]}; leave it out"
                )
    if options.fps is not None and not (np.isfinite(options.fps) and options.fps > 0):
        raise PoseMambaError(f"--fps is {options.fps:g}, expected a positive number of frames per second")
    if options.video is not None and len(inputs) > 1:
        raise PoseMambaError(
            f"--video belongs to one keypoint file, and there are {len(inputs)} inputs; lift one by one"
        )
    if options.start is not None and options.end is not None and options.end <= options.start:
        raise PoseMambaError(f"--end is {options.end:g} s, expected more than --start, {options.start:g} s")
    person = options.person or "longest"
    if person not in ("longest", "largest", "all") and not (person.isdecimal() and int(person) > 0):
        raise PoseMambaError(f"--person is '{person}', expected longest, largest, all or a number from 1 on")
    detector = options.detector or "mediapipe"
    if detector not in DETECTORS:
        raise PoseMambaError(f"--detector is '{detector}', expected one of {', '.join(DETECTORS)}")
    if detector != "mediapipe" and options.mode is not None:
        raise PoseMambaError(f"--mode is for MediaPipe, and --detector is {detector}; leave it out")
    if detector == "mediapipe" and (options.det_model or options.pose_model):
        raise PoseMambaError("--det-model and --pose-model are for --detector rtmpose; give that too")
    if unknown := [name for name in options.exports if name not in _exports()]:
        raise PoseMambaError(f"--export names '{unknown[0]}', expected some of {', '.join(_exports())}, with commas")
    if options.wants_motion:
        check_refinement(refine_options(options.refine, None, options.exports))
        for height in options.heights:
            check_refinement(refine_options(options.refine, height, options.exports))


def _exports() -> dict[str, Any]:
    from posemamba.export3d import EXPORTS

    return dict(EXPORTS)


def refine_options(refine: Sequence[tuple[str, Any]], height: float | None, exports: Sequence[str]) -> RefineOptions:
    """What to do to the poses; formats in metres take a typical body where nobody says the height."""
    from posemamba.refine import RefineOptions

    values = dict(refine)
    metres = any(_exports()[name].needs_metres for name in exports)
    return RefineOptions.checked({**values, "height_m": height, "typical_height": metres and height is None})


def check_refinement(options: RefineOptions) -> None:
    """Try the options on a made-up walk of half a second: sooner than hours of lifting.

    Raises:
        PoseMambaError: options that contradict each other, or a number that cannot be.
    """
    from posemamba.demo import film
    from posemamba.poses import Poses3D
    from posemamba.refine import refine

    if options.fov is not None and not options.root_path:
        raise PoseMambaError("--fov belongs to --root-path; give that too")
    filmed = film(30, seed=0)
    xyz = (filmed.truth / filmed.mm_per_pixel[:, None, None]).astype(np.float32)
    seen = np.ones(len(xyz), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refine(Poses3D(xyz, np.ones((len(xyz), 17), np.float32), seen, filmed.keypoints), options)


def check_out(out: Path, source: Path | None = None) -> None:
    """Say now, and not after all the work, that results cannot go there.

    Raises:
        PoseMambaError: they cannot, or would overwrite the source.
    """
    import os

    if out.exists() and not out.is_dir():
        raise PoseMambaError(f"{out}: is a file, expected a folder for the results (-o)")
    nearest = next(d for d in (out.absolute(), *out.absolute().parents) if d.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{out}: cannot be made or written to; choose another folder (-o)")
    if source is not None and source.resolve().parent == out.resolve() and _RESULT.fullmatch(source.name):
        raise PoseMambaError(f"{source}: would be overwritten by the results; choose another folder (-o)")


def can_draw(must: bool) -> bool:
    """Whether the packages for overlay.mp4 are there; if not, say so, and raise if they `must` be."""
    try:
        require("av", "video")
        require("PIL", "video")
        return True
    except PoseMambaError as error:
        if must:
            raise
        warnings.warn(f"overlay.mp4 is left out: {error}", stacklevel=2)
        return False


# --- one input


class _Worker:
    """Lifts one input after another; weights and detectors are loaded once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._lifter: Lifter | None = None
        self._detector: Detector | None = None

    def lifter(self) -> Lifter:
        if self._lifter is None:
            from posemamba.lift import Lifter

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
                lifted.details["detector"] = f"{name} {self._mode(one)}" if name == "mediapipe" else name
                lifted.details["frames_bridged"] = int(bridged.sum())
        results = Results(poses, numbered=o.person == "all", overlay=overlay, viewer=o.viewer, call=call)
        if o.wants_motion:
            with stages("refining"):
                self._refine(results)
        behind = self._behind(one)
        results.video, results.sound = behind, isinstance(behind, Path) and one.kind != "pictures"
        results.viewer_video = o.viewer_video
        written = write_results(one.out, results, stages)
        self._report(one, results, written, stages)

    def _digest(self, one: Input, overlay: bool) -> str:
        from posemamba import __version__

        o = self.options
        same = replace(o, sources=(), out=Path(), again=False, device="", overlay=overlay, video=None)
        options = {"version": __version__, "options": repr(same)}
        from posemamba.weights import find

        try:
            weights = find(o.weights)
        except PoseMambaError:
            weights = Path(o.weights)  # its reader will complain
        return digest(options, one.path, o.video, weights, o.det_model, o.pose_model)

    def _clip(self, path: Path, kind: str) -> Clip:
        from posemamba.video import Clip

        return Clip(path, self.options.start, self.options.end, self.options.fps if kind == "pictures" else None)

    def _mode(self, one: Input) -> Mode:
        """Of MediaPipe; there is nothing to follow in a single picture."""
        single = one.kind == "pictures" and not one.path.is_dir()
        return "detect" if self.options.mode == "detect" or (self.options.mode is None and single) else "track"

    def _behind(self, one: Input) -> Path | Clip | None:
        """What the overlay shows behind the joints."""
        path = self.options.video if one.kind == "keypoints" else one.path
        if path is None:
            return None
        clip = self._clip(path, one.kind)
        return path if clip.is_whole and one.kind != "pictures" else clip

    def _keypoints(self, one: Input, stages: Stages) -> list[Keypoints2D]:
        """The chosen people's 2D joints."""
        from posemamba.detect import choose_people

        if one.kind == "keypoints":
            return choose_people(self._read(one.path), self.options.person or "longest")
        from posemamba.detect import detect_people
        from posemamba.pictures import PICTURES_PER_SECOND

        self.lifter()  # wrong weights are told before the long work
        o, detector = self.options, self.detector()
        if one.kind == "pictures":
            require("PIL", "video")
            if o.fps is None and one.path.is_dir():
                warnings.warn(
                    f"{one.path.name}: pictures have no frame rate; assumed: {PICTURES_PER_SECOND:g} frames per second "
                    "(--fps)",
                    stacklevel=2,
                )
        with stages("finding joints") as progress:
            people = detect_people(
                self._clip(one.path, one.kind),
                mode=self._mode(one),
                detector=detector,
                progress=progress,
            )
        if len(people) > 1 and o.person is None:
            warnings.warn(
                f"{one.path.name}: {len(people)} people; took the one seen longest, in {int(people[0].seen.sum())} of "
                f"{len(people[0])} frames (--person)",
                stacklevel=2,
            )
        if detector is None and o.person == "all":
            warnings.warn(
                f"{one.path.name}: MediaPipe finds one person in a frame; --detector rtmpose finds everybody",
                stacklevel=2,
            )
        return choose_people(people, o.person or "longest")

    def _read(self, path: Path) -> list[Keypoints2D]:
        """People of a keypoint file, from `start` to `end`."""
        from posemamba.formats import read_keypoints, read_people

        o, fps, size = self.options, self.options.fps, self.options.image_size
        if o.video is not None:
            from posemamba.video import probe

            if not o.video.exists():
                raise PoseMambaError(f"{o.video}: no such file")
            info = probe(o.video)
            fps, size = fps or info.fps, size or info.image_size
        told: dict[str, Any] = {"format": o.format or "auto", "skeleton": o.skeleton, "fps": fps, "image_size": size}
        people = [read_keypoints(path, **told)] if o.person is None else read_people(path, **told)
        if o.start is None and o.end is None:
            return people
        clip = self._clip(path, "keypoints")
        times = people[0].frame_times()
        inside = np.array([clip.holds(t) for t in times - times[0]])
        if not inside.any():
            raise PoseMambaError(
                f"{path}: has no frame between --start and --end, it lasts {times[-1] - times[0]:.2f} s; choose others"
            )
        return [
            replace(p, xy=p.xy[inside], confidence=p.confidence[inside], times=times[inside])
            for p in people
            if p.seen[inside].any() or o.person is None
        ]

    def _refine(self, results: Results) -> None:
        from posemamba.refine import joint_angles, refine

        o = self.options
        heights = o.heights * len(results.poses) if len(o.heights) == 1 else o.heights or (None,) * len(results.poses)
        for poses, height in zip(results.poses, heights, strict=True):
            results.motions.append(refine(poses, refine_options(o.refine, height, o.exports)))
        if o.angles:
            results.angles = [joint_angles(motion) for motion in results.motions]
        results.exports = o.exports

    def _report(self, one: Input, results: Results, written: list[Path], stages: Stages) -> None:
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


def _fatal(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except PoseMambaError as error:
        raise _FatalError(str(error)) from error


# --- results


@dataclass
class Results:
    """What there is to write.

    Attributes:
        poses: one person, or several.
        numbered: names with the person's number, `poses_1.npz`.
        overlay, viewer: write them.
        call: digest of the input and the options, for `is_done`.
        motions, angles: of each person; empty: none were asked for.
        exports: formats of the motions.
        video: what the poses come from; None: nothing to draw on.
        sound: the overlay gets the video's.
        viewer_video: put its pictures into the page.
        notes: what the user should know, and of which files; filled while writing.
    """

    poses: list[Poses3D]
    numbered: bool = False
    overlay: bool = True
    viewer: bool = True
    call: str = ""
    video: Path | Clip | None = None
    sound: bool = True
    viewer_video: bool = False

    def __post_init__(self) -> None:
        self.motions: list[Motion3D] = []
        self.angles: list[Any] = []
        self.exports: tuple[str, ...] = ()
        self.notes: dict[str, list[str]] = {}


def write_results(out: Path, results: Results, stages: Stages) -> list[Path]:
    """Write all results, then put them in place together; those of an earlier call that this one lacks go.

    Raises:
        PoseMambaError: something cannot be written; nothing has changed then.
    """
    from posemamba.files import atomic_files

    earlier = any(_find_poses(out))
    try:
        with atomic_files(out) as folder:
            if results.overlay:
                _draw(folder / "overlay.mp4", results, stages)
            if results.viewer:
                _write_page(folder / "viewer.html", results, stages)
            with stages("writing"):
                for index in range(len(results.motions)):
                    _write_motion(folder, results, index)
                names = [file.name for file in folder.iterdir()]
                for poses in results.poses:
                    end = _end(results, poses)
                    names += [f"poses{end}.npz", f"poses{end}.json"]
                for poses in results.poses:
                    if results.call:
                        poses.details["call"] = {"digest": results.call, "files": sorted(names)}
                    poses.save_npz(folder / f"poses{_end(results, poses)}.npz")
                    poses.save_json(folder / f"poses{_end(results, poses)}.json")
            names = [file.name for file in folder.iterdir()]
    except OSError as error:
        raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    if earlier:
        for file in list(out.iterdir()):  # else the folder would show two clips
            if file.name not in names and _RESULT.fullmatch(file.name):
                file.unlink(missing_ok=True)
    return [out / name for name in sorted(names, key=_order)]


def _order(name: str) -> tuple[int, str]:
    first = next((i for i, part in enumerate(("poses", "motion", "angles")) if name.startswith(part)), 3)
    return first, name


def _end(results: Results, poses: Poses3D) -> str:
    return f"_{poses.keypoints.person}" if results.numbered else ""


def _draw(path: Path, results: Results, stages: Stages) -> None:
    from posemamba.show.overlay import write_overlay

    video = cast("Path | None", results.video)  # a Clip is read like a path
    with stages("drawing") as progress:
        write_overlay(path, video, results.poses, sound=results.sound, progress=progress)


def _write_page(path: Path, results: Results, stages: Stages) -> None:
    from posemamba.show.viewer import write_viewer

    video = cast("Path | None", results.video) if results.viewer_video else None
    with stages("page") as progress:
        write_viewer(
            path,
            results.poses,
            motions=results.motions or None,
            angles=results.angles or None,
            video=video,
            progress=progress,
        )


def _write_motion(folder: Path, results: Results, index: int) -> None:
    from posemamba.export3d import write_motion
    from posemamba.motion_files import save_angles_csv, save_motion_json, save_motion_npz

    motion, end = results.motions[index], _end(results, results.poses[index])
    save_motion_npz(folder / f"motion{end}.npz", motion)
    save_motion_json(folder / f"motion{end}.json", motion)
    if results.angles:
        save_angles_csv(folder / f"angles{end}.csv", motion, results.angles[index])
    for name in results.exports:
        file = f"motion{end}{_exports()[name].suffix}"
        for line in write_motion(folder / file, motion, name):
            results.notes.setdefault(line, []).append(file)


def _find_poses(out: Path) -> list[Path]:
    return [*out.glob("poses.npz"), *out.glob("poses_*.npz")] if out.is_dir() else []


def is_done(out: Path, call: str) -> bool:
    """Whether the results of the same call on the same input are all there."""
    for path in _find_poses(out):
        try:
            with np.load(path, allow_pickle=False) as file:
                done = json.loads(str(file["header"]))["details"]["call"]
            if done["digest"] == call:
                return all((out / str(name)).is_file() for name in done["files"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            continue  # another file of that name
    return False
