"""The work of ``posemamba lift``: inputs lifted one after another, refined, written and reported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.results import (
    Results,
    can_draw,
    find_kept,
    is_done,
    report,
    tell_people,
    write_people,
    write_results,
)
from posemamba.cli.loading import LifterAhead
from posemamba.io.inputs import Input, digest
from posemamba.io.keypoints.detected import UNFINISHED, Detected
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import finish_exchange, writing
from posemamba.utils.memory import give_back
from posemamba.utils.progress import Stages, announce, listened
from posemamba.utils.reading import reading
from posemamba.weights.names import find, is_bundled

if TYPE_CHECKING:
    from posemamba.detect import Detector, Unfinished
    from posemamba.io.video.clip import Clip
    from posemamba.lifting.lifter import Lifter
    from posemamba.poses import Keypoints2D


class FatalError(PoseMambaError):
    """An error that every input would meet: the others are not tried."""


class Worker:
    """A worker that lifts one input after another; weights and detectors are loaded once."""

    def __init__(self, options: LiftOptions) -> None:
        self.options, self.reading = options, options.reading
        self._lifter: LifterAhead | None = None
        self._detectors: dict[str, Detector] = {}
        self._said: set[str] = set()

    def reset(self) -> None:
        """Forget detectors, which may be in the middle of something."""
        self._detectors = {}

    def begin_loading(self) -> LifterAhead:
        """Begin to load the lifter in threads, unless that was done; reject weights that are not there."""
        if self._lifter is None:
            o = self.options
            _fatal(lambda: find(o.weights))
            self._lifter = LifterAhead(o.weights, o.device, o.flip)
        return self._lifter

    def _check_lifter(self, loading: LifterAhead) -> None:
        """Wait for weights of the user's, perhaps damaged, or for a device that is perhaps not there."""
        o = self.options
        if o.device != "auto" or not is_bundled(find(o.weights)):
            _fatal(loading.loaded)

    def lifter(self, stages: Stages) -> Lifter:
        """Return the lifter when it is ready."""
        loading = self.begin_loading()
        try:
            return _fatal(lambda: loading.get(stages))
        except BaseException:
            self._lifter = None
            raise

    def detector(self, one: Input) -> Detector:
        mode = self.reading.mode_of(one)
        if mode not in self._detectors:
            self._detectors[mode] = _fatal(lambda: self.reading.make_detector(self.options.device, mode=mode))
        return self._detectors[mode]

    def do(self, one: Input, number: str = "") -> None:
        """Lift one input, unless it is done, and report what was written.

        Args:
            one: the input.
            number: of the input among several, before its name in what is printed.

        Raises:
            PoseMambaError: it cannot be lifted; nothing was written.
        """
        from posemamba.pipeline.lift import lift_input

        o = self.options
        with reading(one.path, "an input"):
            if not one.path.exists():
                raise PoseMambaError(f"{one.path}: no such file")
        overlay = o.overlay
        if overlay is None:
            overlay = can_draw(must=one.kind != "keypoints" or o.video is not None)
        with writing(one.out):
            finish_exchange(one.out)  # of a call that was killed
        call = self._digest(one, overlay)
        if not o.again and is_done(one.out, call):
            print(f"{number}{one.path.name}: done already, with the same options (--again does it again)")
            print(f"  {one.out}")
            if one.kind != "keypoints":
                _clear_unfinished(one.out, self.reading.detection_digest(one))
            return
        stages = Stages()
        if number and sys.stderr.isatty():  # the bars that follow do not say of which input they are
            print(f"{number}{one.path.name}", file=sys.stderr)
        results = Results([], numbered=o.person == "all", overlay=overlay, viewer=o.viewer, call=call)
        try:
            self._find(one, results, stages)
            if listened():
                from posemamba.cli.lift.events import announce_people

                announce_people(results)
            if o.people and o.person is None and len(results.people) > 1:
                self._ask(one, results, stages, number)
                return
            people = self._choose(one, results)
            frames = len(people[0])
            give_back(frames)
            heights = o.heights * len(people) if len(o.heights) == 1 else o.heights or (None,) * len(people)
            with stages("lifting") as progress:
                lifter = self.lifter(stages)
                results.poses = lift_input(one, self.reading, people, lifter, o.view, heights, progress)
            if o.refinement or o.angles:
                with stages("refining"):
                    self._refine(one, results)
            give_back(frames)
            results.exports, results.world, results.rig = o.exports, o.world_name, o.rig_name
            written = write_results(one.out, results, stages)
            if results.unfinished is not None:
                results.unfinished.discard()
            elif results.detected is not None:
                _clear_unfinished(one.out, results.detected.digest)
        except BaseException as error:  # also an interruption: finding the joints took longest
            interrupted = isinstance(error, KeyboardInterrupt)
            kept = self._keep(one, results, stages, interrupted)
            if kept and isinstance(error, PoseMambaError):
                kind = FatalError if isinstance(error, FatalError) else PoseMambaError
                raise kind(f"{error} (kept: {kept})") from error
            if kept:
                how = "interrupted" if interrupted else "failed"
                print(f"{how}; kept: {kept}; the same call goes on from there", file=sys.stderr)
            raise
        report(one, results, written, stages, number, self._said)
        if listened():
            from posemamba.cli.lift.events import announce_results

            announce_results(results)

    def _ask(self, one: Input, results: Results, stages: Stages, number: str) -> None:
        """Write who was found, and print how to choose one of them."""
        names = write_people(one.out, results, stages)
        if results.unfinished is not None:
            results.unfinished.discard() if names else results.unfinished.close()
        print(f"{number}{one.path.name}: {tell_people(results)}")
        for name in names:
            print(f"  {one.out / name}")
        announce("choose")

    def _digest(self, one: Input, overlay: bool) -> str:
        from posemamba.utils.installation import __version__
        from posemamba.weights.shards import parts

        o = self.options
        same = replace(
            o, sources=[], out=Path(), again=False, restart=False, people=False, device="", overlay=overlay, video=None
        )
        options = {"version": __version__, "options": repr(same)}
        try:
            weights = parts(find(o.weights))
        except PoseMambaError:
            weights = [Path(o.weights)]  # its reader reports what is wrong
        return digest(options, one.path, o.video, *weights, o.det_model, o.pose_model)

    def _behind(self, one: Input) -> Path | Clip | None:
        """Return what the overlay shows behind the joints."""
        path = self.options.video if one.kind == "keypoints" else one.path
        if path is None:
            return None
        clip = self.reading.clip(path, one.kind)
        return path if clip.is_whole and one.kind != "pictures" and not clip.allow_damaged else clip

    def _find(self, one: Input, results: Results, stages: Stages) -> None:
        """Put everybody in the input into the results: read, kept by an earlier call, or detected now."""
        results.source, results.viewer_video = one.path, self.options.viewer_video
        results.overlay_angles = self.options.overlay_angles
        if one.kind == "keypoints":
            self.begin_loading()
        results.video = self._behind(one)
        results.sound = isinstance(results.video, Path) and one.kind != "pictures"
        if one.kind == "keypoints":
            results.people = self.reading.everybody(one)
            return
        digest = self.reading.detection_digest(one)
        kept = None if self.options.again else find_kept(one.out, digest)
        if kept is not None:
            results.people, results.detected, results.kept = kept.people, kept, True
            return
        loading = self.begin_loading()
        self._check_lifter(loading)  # before the long work
        detector = self.detector(one)
        results.unfinished = self._unfinished(one, digest)
        with stages("finding joints") as progress:

            def go_on(done: int, total: int | None) -> None:
                _fatal(loading.check)
                progress(done, total)

            results.people = self.reading.everybody(
                one, detector=detector, progress=go_on, unfinished=results.unfinished
            )
        results.detected = Detected(results.people, self.reading.detector_of(one), digest)

    def _unfinished(self, one: Input, digest: str) -> Unfinished:
        """Return the file of this detection, with what an interrupted run left in it."""
        from posemamba.detect.unfinished import FILE, Unfinished

        path = one.out / FILE
        with writing(one.out):
            unfinished = Unfinished(path, digest, restart=self.options.restart)
        if unfinished.foreign:
            print(f"{path}: is of another input, or of other options, and not used", flush=True)
        elif len(unfinished):
            print(f"{one.path.name}: going on from frame {len(unfinished)} of a run that was interrupted", flush=True)
        return unfinished

    def _choose(self, one: Input, results: Results) -> list[Keypoints2D]:
        """Return the wanted people.

        Raises:
            PoseMambaError: the wanted person is not there, or heights do not fit.
        """
        heights = self.options.heights
        people = self.reading.choose(results.people)
        if heights and len(heights) not in (1, len(people)):
            raise PoseMambaError(
                f"{one.path}: --height names {len(heights)} heights for {len(people)} people; give one for all or "
                "one for each"
            )
        return people

    def _keep(self, one: Input, results: Results, stages: Stages, interrupted: bool) -> str:
        """Keep the joints that were found where an input cannot be done; return what is kept, "" if nothing is."""
        part = results.unfinished
        names: list[str] = []
        # a call that detects again would not use them
        if not results.kept and not (interrupted and self.options.again):
            try:
                names = write_people(one.out, results, stages)
            except Exception:  # the disk is full, or memory: what failed first is reported
                names = []
        if part is not None and names:
            part.discard()
        if part is not None:
            part.close()
            if len(part) and part.path.is_file():
                return f"the joints of {len(part)} frames ({part.path})"
        return ", ".join(str(one.out / name) for name in names)

    def _refine(self, one: Input, results: Results) -> None:
        from posemamba.refine.angle_accuracy import angle_errors
        from posemamba.refine.angles import joint_angles
        from posemamba.refine.refinement import refine

        o = self.options
        try:
            results.poses = [refine(poses, o.refine_options()) for poses in results.poses]
            if o.angles:
                results.angles = [joint_angles(poses) for poses in results.poses]
                results.angle_errors = [angle_errors(poses) for poses in results.poses]
        except PoseMambaError as error:
            raise PoseMambaError(f"{one.path}: {error}") from error


def _fatal(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except PoseMambaError as error:
        raise FatalError(str(error)) from error


def _clear_unfinished(folder: Path, digest: str) -> None:
    """Remove what an interrupted run left of the same detection, if anything."""
    path = folder / UNFINISHED
    if path.exists():
        from posemamba.detect.unfinished import Unfinished

        Unfinished.clear(path, digest)
