"""One page with a camera: pictures in by its WebSocket, poses out, and a recording that becomes a job.

From the page come messages of JSON (``start``, ``record``) and, each by itself, pictures: eight bytes with their time
in seconds (a little-endian double), then a JPEG, WebP or PNG. To the page go messages of JSON: ``start`` once poses
can come, ``taken`` when the session takes a picture and the page may send the next, ``pose``, ``recorded``, ``error``.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import shutil
import struct
import time as clock
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from posemamba.live import messages
from posemamba.live.poses import LivePose
from posemamba.utils.errors import PoseMambaError, require

if TYPE_CHECKING:
    from posemamba.app.jobs import Store
    from posemamba.live.recording import Recorder
    from posemamba.live.runner import LiveRunner
    from posemamba.live.session import LiveSession

__all__ = ["Connection", "Turn", "decode"]

LARGEST = 4_000_000
"""Bytes of the largest picture."""
MOST_PIXELS = 2_560 * 1_600
LONGEST_TEXT = 4_000
"""Characters of the longest message."""
LONGEST_RECORDING = 3_600.0
"""Seconds after which a recording ends by itself."""
_SILENT = 60.0  # seconds without anything from the page after which the connection is given up
_UNSENT = 60  # messages that wait for a slow page; then it is given up


class Turn:
    """One live session at a time, and what the next one need not load again."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.lifter: Any = None

    def session(self, settings: dict[str, Any]) -> LiveSession:
        """Make a session; the weights are read for the first one."""
        from posemamba.live.session import LiveSession

        session = LiveSession(lifter=self.lifter, **settings)
        self.lifter = session.lifter
        return session


class Connection:
    """The connection to one page.

    Args:
        socket: not accepted yet.
        turn: of all connections.
    """

    def __init__(self, socket: WebSocket, turn: Turn) -> None:
        self._socket, self._turn = socket, turn
        self._unsent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_UNSENT)
        self._runner: LiveRunner | None = None
        self._recorder: Recorder | None = None
        self._recording_ends = math.inf
        self._detector = ""
        self._broken: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve the page until it goes."""
        await self._socket.accept()
        if self._turn.lock.locked():
            await self._refuse("live poses run in another page already; stop them there first")
            return
        async with self._turn.lock:
            sending = asyncio.create_task(self._send_all())
            try:
                await self._start()
                await self._receive_all()
            except PoseMambaError as error:
                self._put({"type": "error", "text": str(error)})
            except Exception as error:
                if not isinstance(error, (WebSocketDisconnect, TimeoutError)):
                    self._put({"type": "error", "text": f"a fault of this program: {type(error).__name__}"})
                    raise
            finally:
                with anyio.CancelScope(shield=True):  # also where the server ends: threads must not stay behind
                    await anyio.to_thread.run_sync(self._stop)
                    await self._end(sending)

    async def _refuse(self, text: str) -> None:
        await self._socket.send_json({"type": "error", "text": text})
        await self._socket.close(1013)

    async def _end(self, sending: asyncio.Task[None]) -> None:
        self._put(None)
        if self._broken.done():
            self._broken.exception()  # told already, or of no interest to a page that has gone
        try:
            await asyncio.wait_for(sending, 5)
            await self._socket.close()
        except (RuntimeError, WebSocketDisconnect, TimeoutError, OSError):  # the page has gone
            sending.cancel()

    async def _start(self) -> None:
        """Read the page's settings, and load what they need.

        Raises:
            PoseMambaError: they have no meaning, or something cannot be loaded.
        """
        settings = read_settings(await self._message())
        self._detector = settings["detector"]
        self._put({"type": "loading"})
        session = await anyio.to_thread.run_sync(self._turn.session, settings)
        from posemamba.live.runner import LiveRunner

        loop = asyncio.get_running_loop()

        def give(pose: LivePose) -> None:
            loop.call_soon_threadsafe(self._pose, pose)

        def fail(error: BaseException) -> None:
            loop.call_soon_threadsafe(self._fail, error)

        self._runner = LiveRunner(session, give, on_error=fail)
        self._put(messages.header(delay=session.delay, detector=session.detector))

    def _pose(self, pose: LivePose) -> None:
        runner = self._runner
        late = 0.0 if runner is None else runner.counts.seconds
        self._put(messages.message(pose, late_ms=round(1000 * late, 1)))

    def _fail(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _received(self) -> MutableMapping[str, Any]:
        """Return what the page sends next.

        Raises:
            PoseMambaError: a picture could not be looked at or lifted meanwhile.
            TimeoutError: nothing came for long.
        """
        receiving = asyncio.ensure_future(self._socket.receive())
        waiting: set[asyncio.Future[Any]] = {receiving, self._broken}
        done, _ = await asyncio.wait(waiting, timeout=_SILENT, return_when=asyncio.FIRST_COMPLETED)
        if self._broken in done or not done:
            receiving.cancel()
            if done:
                self._broken.result()
            raise TimeoutError
        return receiving.result()

    async def _message(self) -> dict[str, Any]:
        """Return the next message of JSON; pictures before it are of an earlier session, and left out."""
        while True:
            received = await self._received()
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code", 1000))
            if (text := received.get("text")) is not None:
                return parse(text)

    async def _receive_all(self) -> None:
        """Take pictures and messages."""
        runner = self._runner
        assert runner is not None
        loop = asyncio.get_running_loop()
        while True:
            received = await self._received()
            if received["type"] == "websocket.disconnect":
                return
            if (data := received.get("bytes")) is not None:
                time, picture = split(data)
                runner.offer(self._taken(loop, time, picture), time)
            elif (text := received.get("text")) is not None:
                message = parse(text)
                if message.get("type") == "record":
                    await self._record(bool(message.get("on")))
                elif message.get("type") == "stop":
                    return
            if self._recorder is not None and clock.monotonic() > self._recording_ends:
                await self._record(False)

    def _taken(self, loop: asyncio.AbstractEventLoop, time: float, picture: bytes) -> Callable[[], NDArray[np.uint8]]:
        """Return a function that decodes a picture, and tells the page that the next may come."""

        def take() -> NDArray[np.uint8]:
            loop.call_soon_threadsafe(self._put, {"type": "taken", "time": time})
            return decode(picture)

        return take

    async def _record(self, on: bool) -> None:
        """Begin or end a recording."""
        runner, store = self._runner, cast("Store", self._socket.app.state.store)
        assert runner is not None
        if on and self._recorder is None:
            from posemamba.live.recording import Recorder

            folder = store.upload_path()
            self._recorder = await anyio.to_thread.run_sync(Recorder, folder, self._detector)
            self._recording_ends = clock.monotonic() + LONGEST_RECORDING
            runner.watch = self._recorder.take
            self._put({"type": "recording"})
        elif not on and (recorder := self._recorder) is not None:
            runner.watch, self._recorder = None, None
            try:
                video = await anyio.to_thread.run_sync(recorder.close)
                name = f"live {clock.strftime('%Y-%m-%d %H.%M.%S')}.mp4"
                job = store.add(name, video)
                await anyio.to_thread.run_sync(recorder.write_joints, store.input(job), store.results(job))
                self._put({"type": "recorded", "job": job.id, "frames": recorder.frames})
            except (PoseMambaError, OSError) as error:
                self._put({"type": "not recorded", "text": str(error)})
            finally:
                shutil.rmtree(recorder.folder, ignore_errors=True)

    def _put(self, message: dict[str, Any] | None) -> None:
        """Put a message behind the others; those that a slow page has no time for are left out."""
        if self._unsent.full() and message is not None:
            return
        if self._unsent.full():
            self._unsent.get_nowait()
        self._unsent.put_nowait(message)

    async def _send_all(self) -> None:
        try:
            while (message := await self._unsent.get()) is not None:
                await self._socket.send_text(json.dumps(message, separators=(",", ":"), allow_nan=False))
        except (RuntimeError, WebSocketDisconnect, OSError):  # the page has gone
            return

    def _stop(self) -> None:
        """End the threads; a recording that was not ended is thrown away."""
        if self._runner is not None:
            self._runner.stop()
        if (recorder := self._recorder) is not None:
            recorder.discard()
            shutil.rmtree(recorder.folder, ignore_errors=True)


def parse(text: str) -> dict[str, Any]:
    """Parse a message of JSON.

    Raises:
        PoseMambaError: it is none.
    """
    try:
        message = json.loads(text) if len(text) <= LONGEST_TEXT else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise PoseMambaError("a message is no object of JSON")
    return message


def read_settings(message: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a session that a page asks for.

    Raises:
        PoseMambaError: a setting that is not known or has no meaning.
    """
    known = {"type", "detector", "delay", "height", "field_of_view", "flip"}
    if message.get("type") != "start" or (unknown := set(message) - known):
        what = (
            "start" if message.get("type") != "start" else f"only {', '.join(sorted(known))}, not '{min(unknown)[:40]}'"
        )
        raise PoseMambaError(f"the page's first message is wrong, expected {what}")
    settings: dict[str, Any] = {
        "detector": message.get("detector", "full"),
        "delay": message.get("delay", 0),
        "flip": message.get("flip", False),
    }
    if not isinstance(settings["detector"], str) or not isinstance(settings["flip"], bool):
        raise PoseMambaError("the detector or flip has no meaning")
    if type(settings["delay"]) is not int:
        raise PoseMambaError("the delay is no whole number of frames")
    for name in ("height", "field_of_view"):
        value = message.get(name)
        # an int may be too long for a float
        if value is not None and (type(value) not in (int, float) or not abs(value) <= 1e6):
            raise PoseMambaError(f"{name.replace('_', ' ')} is no number up to 1000000")
        settings[name] = None if value is None else float(value)
    return settings


def split(data: bytes) -> tuple[float, bytes]:
    """Split a picture's message into its time and the picture.

    Raises:
        PoseMambaError: it is too short or too long, or the time is no number.
    """
    if not 8 < len(data) <= LARGEST:
        raise PoseMambaError(f"a picture has {len(data)} bytes, expected up to {LARGEST}")
    (time,) = struct.unpack("<d", data[:8])
    if not (math.isfinite(time) and abs(time) < 1e12):
        raise PoseMambaError("a picture's time is no number of seconds")
    return time, data[8:]


def decode(picture: bytes) -> NDArray[np.uint8]:
    """Decode a picture of a page, (height, width, 3) uint8.

    Raises:
        PoseMambaError: it is no JPEG, WebP or PNG, or too large.
    """
    image = require("PIL.Image", "video")
    try:
        with image.open(io.BytesIO(picture), formats=("JPEG", "WEBP", "PNG")) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS or min(width, height) < 16:
                raise PoseMambaError(f"a picture has {width} x {height} pixels, expected up to {MOST_PIXELS}")
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise PoseMambaError("a picture is no JPEG, WebP or PNG, or damaged") from error
