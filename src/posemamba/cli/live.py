"""``posemamba live``: poses while the pictures come, for other programs."""

from __future__ import annotations

import contextlib
import sys
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from posemamba.cli.options import argument, option
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.live.poses import LivePose
    from posemamba.live.recording import Recorder
    from posemamba.live.runner import LiveRunner
    from posemamba.live.sources import Source

_OUTPUT, _CAMERA, _MODEL = "Output", "Camera", "Model"
_REPORT_SECONDS = 1.0  # between lines of the terminal that tell rate and delay


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Options of ``posemamba live``."""

    source: Annotated[
        str,
        argument(
            "A camera (0, 1, ... or its device), an address (rtsp://..., http://...) or a video.", metavar="SOURCE"
        ),
    ]
    out: Annotated[
        Path | None,
        option(
            "Lines of JSON into this file; else to the terminal, unless --osc is given.", "--out", "-o", panel=_OUTPUT
        ),
    ] = None
    osc: Annotated[str | None, option("Send OSC over UDP there.", metavar="HOST:PORT", panel=_OUTPUT)] = None
    axes: Annotated[
        str, option("Axes of the joints: camera, blender, unity or touchdesigner.", panel=_OUTPUT, default=True)
    ] = "camera"
    record: Annotated[
        Path | None,
        option("Keep the pictures, and lift them when it ends: a folder as of posemamba lift.", panel=_OUTPUT),
    ] = None
    seconds: Annotated[float | None, option("End after so many seconds.", panel=_OUTPUT)] = None
    fast: Annotated[
        bool, option("A video as quickly as possible, with all of its frames, not at its own rate.", "--fast")
    ] = False
    detector: Annotated[str, option("lite, full or heavy: slower and better.", panel=_MODEL, default=True)] = "full"
    delay: Annotated[
        int | None,
        option("Frames by which a pose comes later, 0 to 13: more is more accurate (default: 2).", panel=_MODEL),
    ] = None
    weights: Annotated[str | None, option("A name or file (default: posemamba-s27).", panel=_MODEL)] = None
    flip: Annotated[
        bool, option("Average with the flipped picture's poses, twice the work.", "--flip/--no-flip", panel=_MODEL)
    ] = False
    device: Annotated[str, option("Where the model runs: cpu, cuda, ...", panel=_MODEL, default=True)] = "cpu"
    height: Annotated[float | None, option("The person's height in metres; else a typical one.")] = None
    fov: Annotated[float | None, option("Horizontal field of view in degrees; else a guess.", panel=_CAMERA)] = None
    camera_roll: Annotated[
        float | None, option("Degrees by which the camera is turned clockwise about its axis.", panel=_CAMERA)
    ] = None
    reconnect: Annotated[
        float, option("Seconds for which a camera that vanishes is tried again.", panel=_CAMERA, default=True)
    ] = 30.0


def live(options: LiveOptions) -> int:
    """Poses of one person while a camera films, or from an address or a video: lines of JSON, or OSC.

    Pictures that there is no time for are left out, so that the delay does not grow. Ctrl-C ends it.

    More: docs/live.md.
    """
    from posemamba.live.messages import AXES
    from posemamba.live.sources import find_source

    if options.axes not in AXES:
        raise PoseMambaError(f"--axes is '{options.axes}', expected one of {', '.join(AXES)}")
    for name in ("seconds", "reconnect"):
        value = getattr(options, name)
        if value is not None and not 0 <= value < float("inf"):
            raise PoseMambaError(f"--{name} is {value:g}, expected seconds, a number from 0 on")
    source = find_source(options.source)
    if options.fast and source.kind != "file":
        kind = {"camera": "a camera", "address": "an address"}[source.kind]
        raise PoseMambaError(f"--fast is for videos, and {source.name} is {kind}; leave it out")
    if options.out is not None and source.kind == "file" and _same(options.out, source.opened):
        raise PoseMambaError(f"{source.name}: would be overwritten by the poses; choose another file (--out)")
    if options.record is not None:
        _check_record(options.record, source)
    with contextlib.ExitStack() as stack:
        give = _outputs(options, source, stack)
        recorder = _run(options, source, give)
    if recorder is not None:
        video = recorder.close()
        recorder.write_joints(video, video.parent)
        _lift(options, video)
    return 0


def _run(options: LiveOptions, source: Source, give: Callable[[LivePose], None]) -> Recorder | None:
    """Give poses until the source ends, or the user ends it; return what was recorded."""
    from posemamba.live.recording import Recorder
    from posemamba.live.runner import LiveRunner
    from posemamba.live.session import DELAY, WEIGHTS, LiveSession
    from posemamba.live.sources import read_source

    session = LiveSession(
        options.weights or WEIGHTS,
        detector=options.detector,  # type: ignore[arg-type]  # checked there
        delay=DELAY if options.delay is None else options.delay,
        height=options.height,
        field_of_view=options.fov,
        camera_roll=options.camera_roll,
        flip=options.flip,
        device=options.device,
    )
    recorder = None if options.record is None else Recorder(options.record, options.detector)
    runner = LiveRunner(session, give, drop=not options.fast, watch=None if recorder is None else recorder.take)
    began = reported = clock.monotonic()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            taken = read_source(source, paced=not options.fast, reconnect=options.reconnect, tell=_tell)
            with contextlib.closing(taken) as pictures:
                for one in pictures:
                    runner.offer(one.picture, one.time)
                    now = clock.monotonic()
                    if options.seconds is not None and now - began >= options.seconds:
                        break
                    if now - reported >= _REPORT_SECONDS:
                        reported = now
                        _report(runner, now - began)
        runner.close()
    except BrokenPipeError:  # the reader of the output has gone
        pass
    except BaseException:
        runner.stop()
        if recorder is not None:
            recorder.discard()
        raise
    counts, seconds = runner.counts, clock.monotonic() - began
    if sys.stderr.isatty():
        print(end="\r\x1b[K", file=sys.stderr)
    _tell(
        f"{source.name}: {counts.poses} poses of {counts.offered} pictures in {seconds:.1f} s "
        f"({counts.poses / max(seconds, 1e-9):.1f} a second), {counts.dropped} left out"
    )
    return recorder


def _outputs(options: LiveOptions, source: Source, stack: contextlib.ExitStack) -> Callable[[LivePose], None]:
    """Open the outputs; return a function that gives a pose to all of them."""
    from posemamba.live import messages

    axes: Any = options.axes
    senders: list[Callable[[LivePose], None]] = []
    if options.osc is not None:
        senders.append(messages.OscSender(*messages.parse_address(options.osc), axes).send)
    if options.out is not None or options.osc is None:
        senders.append(_lines(stack.enter_context(_stream(options.out)), options, source.name))

    def give(pose: LivePose) -> None:
        for send in senders:
            send(pose)

    return give


def _lines(stream: IO[str], options: LiveOptions, source: str) -> Callable[[LivePose], None]:
    """Return a function that writes a pose as a line; before the first one it names the fields."""
    from posemamba.live import messages

    axes: Any = options.axes
    begun = False

    def write(pose: LivePose) -> None:
        nonlocal begun
        told = (
            [messages.message(pose, axes)]
            if begun
            else [messages.header(axes, source=source), messages.message(pose, axes)]
        )
        try:
            if not begun and options.out is not None and options.out.is_file():  # no pipe or device
                stream.truncate(0)
            begun = True
            stream.writelines(map(messages.line, told))
            stream.flush()
        except OSError as error:
            if options.out is None:
                raise
            raise PoseMambaError(f"{options.out}: cannot be written ({error.strerror or error})") from error

    return write


@contextlib.contextmanager
def _stream(path: Path | None) -> Iterator[IO[str]]:
    """Open the file for lines, or the terminal; what the file holds stays until there is a line to write."""
    if path is None:
        yield sys.stdout
        return
    there = path.exists()
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be written ({error.strerror or error})") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # of what a full disk did not take, which was told already
            file.close()
        with contextlib.suppress(OSError):
            if not there and path.is_file() and not path.stat().st_size:
                path.unlink()


def _same(one: Path, other: str) -> bool:
    """Tell whether two paths are one file that exists."""
    return one.exists() and one.samefile(other)


def _check_record(folder: Path, source: Source) -> None:
    """Reject a folder for the recording that holds something else."""
    from posemamba.cli.lift.checks import check_out
    from posemamba.live.recording import VIDEO

    check_out(folder, folder / VIDEO, "video")
    if source.kind == "file" and _same(folder / VIDEO, source.opened):
        raise PoseMambaError(f"{source.name}: would be overwritten by the recording; choose another folder (--record)")


def _lift(options: LiveOptions, video: Path) -> None:
    """Lift the recording as `posemamba lift` does, from the joints that were found."""
    from posemamba.cli.lift.options import LiftOptions
    from posemamba.cli.lift.run import Worker
    from posemamba.io.inputs import Input

    height = None if options.height is None else f"{options.height:g}"
    lifting = LiftOptions(
        sources=[video],
        out=video.parent,
        detector=options.detector,
        height=height,
        fov=options.fov,
        camera_roll=options.camera_roll,
    )
    with contextlib.redirect_stdout(sys.stderr):  # the lines of poses stay alone
        Worker(lifting).do(Input(video, video.parent, "video"))


def _report(runner: LiveRunner, seconds: float) -> None:
    """Tell rate and delay in one line of the terminal, which the next one replaces."""
    if sys.stderr.isatty():
        counts = runner.counts
        rate, late = counts.poses / seconds, 1000 * counts.seconds
        text = f"{rate:.1f} poses a second, {late:.0f} ms late, {counts.dropped} left out"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
