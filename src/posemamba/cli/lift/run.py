"""The work of ``posemamba lift``: inputs lifted one after another, refined, written and reported."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posemamba.cli.lift.checks import can_draw
from posemamba.cli.lift.earlier_results import find_kept, is_done
from posemamba.cli.lift.options import LiftOptions
from posemamba.cli.lift.report import report, tell_people
from posemamba.cli.lift.results import Results, write_people, write_results
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


FEW_FRAMES = 2000
"""Frames that are lifted together on a CPU: results are written every few seconds."""


class FatalError(PoseMambaError):
    """An error that every input would meet: the others are not tried."""


@dataclass
class Job:
    """An input on its way: its joints are found, then lifted, then written.

    Attributes:
        one: the input.
        results: what is there of its results.
        number: of the input among several, before its name in what is printed.
        people: who is lifted.
        error: why they cannot be; None: they can.
        stages: the time that each stage took.
    """

    one: Input
    results: Results
    number: str = ""
    people: list[Keypoints2D] = field(default_factory=list)
    error: PoseMambaError | None = None
    stages: Stages = field(default_factory=Stages)

    @property
    def frames(self) -> int:
        """The frames to lift, of all people."""
        return sum(map(len, self.people))


class Worker:
    """A worker that lifts one input after another; weights and detectors are loaded once.

    Args:
        options: of the command.
        lifts: False: others lift what it finds, and the weights are not loaded.
        quiet: show no bars while several inputs are lifted together.
    """

    def __init__(self, options: LiftOptions, lifts: bool = True, quiet: bool = False) -> None:
        self.options, self.reading, self._lifts, self._quiet = options, options.reading, lifts, quiet
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

    def _loads(self) -> Callable[[], object]:
        """Begin to load the lifter where this worker lifts; return what raises the error of the loading, if any.

        Weights of the user's, perhaps damaged, or a device that is perhaps not there, are waited for.
        """
        if not self._lifts:
            return lambda: None
        loading, o = self.begin_loading(), self.options
        if o.device != "auto" or not is_bundled(find(o.weights)):
            _fatal(loading.loaded)
        return lambda: _fatal(loading.check)

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

    def do(self, one: Input, number: str = "") -> int:
        """Lift one input, unless it is done, and report what was written.

        Args:
            one: the input.
            number: of the input among several, before its name in what is printed.

        Returns:
            The frames that were lifted.

        Raises:
            PoseMambaError: it cannot be lifted; nothing was written.
        """
        job = self.begin(one, number)
        if job is None:
            return 0
        self.lift_one(job)
        self.finish(job)
        return job.frames

    def begin(self, one: Input, number: str = "", fetch: Callable[[], None] | None = None) -> Job | None:
        """Read an input, or find the joints in it; None: it is done already, which is printed.

        Args:
            one, number: as in `do`.
            fetch: called before the input is read: it makes the file whole, which had its name, size and time alone.

        Raises:
            PoseMambaError: there is none, or nobody to lift in it.
        """
        o = self.options
        with reading(one.path, "an input"):
            if not one.path.exists():
                raise PoseMambaError(f"{one.path}: no such file")
        overlay = self._overlay(one)
        with writing(one.out):
            finish_exchange(one.out)  # of a call that was killed
        call = self.digest(one)
        if not o.again and is_done(one.out, call):
            print(f"{number}{one.path.name}: done already, with the same options (--again does it again)")
            print(f"  {one.out}")
            if one.kind != "keypoints":
                _clear_unfinished(one.out, self.reading.detection_digest(one))
            return None
        if fetch is not None:
            fetch()
        if number and one.kind != "keypoints" and sys.stderr.isatty():  # the bars do not say of which input they are
            print(f"{number}{one.path.name}", file=sys.stderr)
        results = Results([], numbered=o.person == "all", overlay=overlay, viewer=o.viewer, call=call)
        job = Job(one, results, number)
        with self._keeping(job):
            self._find(one, results, job.stages)
            if listened():
                from posemamba.cli.lift.events import announce_people

                announce_people(results)
            if o.people and o.person is None and len(results.people) > 1:
                self._ask(job)
                return None
            job.people = self._choose(one, results)
            give_back(len(job.people[0]))
        return job

    def lift_one(self, job: Job) -> None:
        """Lift the people of an input.

        Raises:
            PoseMambaError: they cannot be lifted.
        """
        from posemamba.pipeline.lift import lift_input

        view = self.options.view
        with self._keeping(job), job.stages("lifting") as progress:
            lifter = self.lifter(job.stages)
            heights = self._heights(job)
            job.results.poses = lift_input(job.one, self.reading, job.people, lifter, view, heights, progress)

    def lift(self, jobs: Sequence[Job]) -> None:
        """Lift the people of several inputs, with windows of all in one batch; `Job.error` says which could not be.

        Raises:
            FatalError: the weights or the device cannot be used.
        """
        from posemamba.pipeline.lift import Found, lift_found

        together, name = Stages(self._quiet), f"lifting {len(jobs)} clips"
        with together(name) as progress:
            lifter = self.lifter(together)
            found = [Found(job.one, job.people, self._heights(job)) for job in jobs]
            results = lift_found(found, self.reading, lifter, self.options.view, progress)
        frames = sum(job.frames for job in jobs)
        for job, result in zip(jobs, results, strict=True):
            job.stages.seconds["lifting"] = together.seconds[name] * job.frames / max(1, frames)
            if isinstance(result, PoseMambaError):
                job.error = result
            else:
                job.results.poses = result

    def is_batch(self, jobs: Sequence[Job]) -> bool:
        """Tell whether these are enough to be lifted together: on a CPU a few, as more are no faster there."""
        from posemamba.pipeline.many import CLIPS, FRAMES

        device = self.lifter(Stages()).device
        most = FEW_FRAMES if device.type == "cpu" else FRAMES
        return len(jobs) >= CLIPS or sum(job.frames for job in jobs) >= most

    def finish(self, job: Job) -> None:
        """Refine the poses, write all results and report them.

        Raises:
            PoseMambaError: it could not be lifted, or results cannot be written; nothing was written.
        """
        one, o, results, stages = job.one, self.options, job.results, job.stages
        with self._keeping(job):
            if job.error is not None:
                raise job.error
            if o.refinement or o.angles:
                with stages("refining"):
                    self._refine(one, results)
            give_back(len(job.people[0]))
            results.exports, results.world, results.rig = o.exports, o.world_name, o.rig_name
            written = write_results(one.out, results, stages)
            if results.unfinished is not None:
                results.unfinished.discard()
            elif results.detected is not None:
                _clear_unfinished(one.out, results.detected.digest)
        report(one, results, written, stages, job.number, self._said)
        if listened():
            from posemamba.cli.lift.events import announce_results

            announce_results(results)

    def _heights(self, job: Job) -> tuple[float | None, ...]:
        heights, people = self.options.heights, len(job.people)
        return heights * people if len(heights) == 1 else heights or (None,) * people

    @contextlib.contextmanager
    def _keeping(self, job: Job) -> Iterator[None]:
        """Keep the joints that were found where the block fails or is interrupted: finding them took longest."""
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            kept = self._keep(job.one, job.results, job.stages, interrupted)
            if kept and isinstance(error, PoseMambaError):
                kind = FatalError if isinstance(error, FatalError) else PoseMambaError
                raise kind(f"{error} (kept: {kept})") from error
            if kept:
                how = "interrupted" if interrupted else "failed"
                print(f"{how}; kept: {kept}; the same call goes on from there", file=sys.stderr)
            raise

    def _ask(self, job: Job) -> None:
        """Write who was found, and print how to choose one of them."""
        one, results = job.one, job.results
        names = write_people(one.out, results, job.stages)
        if results.unfinished is not None:
            results.unfinished.discard() if names else results.unfinished.close()
        print(f"{job.number}{one.path.name}: {tell_people(results)}")
        for name in names:
            print(f"  {one.out / name}")
        announce("choose")

    def _overlay(self, one: Input) -> bool:
        """Tell whether an overlay is drawn."""
        wanted = self.options.overlay
        return can_draw(must=one.kind != "keypoints" or self.options.video is not None) if wanted is None else wanted

    def digest(self, one: Input) -> str:
        """Return a short hash of all on which an input's results depend, the same on each machine."""
        from posemamba.utils.installation import __version__
        from posemamba.weights.shards import parts

        o = self.options
        overlay = self._overlay(one)
        same = replace(
            o, sources=[], out=Path(), again=False, restart=False, people=False, device="", overlay=overlay, video=None
        )
        options = {"version": __version__, "options": repr(same)}
        try:
            weights = parts(find(o.weights))
        except PoseMambaError:
            weights = [Path(o.weights)]  # its reader reports what is wrong
        if is_bundled(weights[0]):  # their time is that of the installation
            options["weights"] = repr([(path.name, path.stat().st_size) for path in weights])
            weights = []
        return digest(options, one.path, o.video, *weights, o.det_model, o.pose_model)

    def move(self, job: Job, one: Input) -> None:
        """Give a job that was begun by another worker the places of its files here."""
        job.one, job.results.source = one, one.path
        job.results.video = self._behind(one)

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
        if one.kind == "keypoints" and self._lifts:
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
        check = self._loads()  # before the long work
        detector = self.detector(one)
        results.unfinished = self._unfinished(one, digest)
        with stages("finding joints") as progress:

            def go_on(done: int, total: int | None) -> None:
                check()
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
