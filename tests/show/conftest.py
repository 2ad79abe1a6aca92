"""A made-up clip to show, and a headless Chromium driven over its DevTools pipe (no package needed)."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.camera import look_at, pixel_units, project
from posemamba.poses import Keypoints2D, Poses3D
from posemamba.skeleton import H36M17
from posemamba.walker import noisy, walk

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1200,800 --remote-debugging-pipe"
)


@pytest.fixture(scope="session")
def walker_clip() -> Callable[..., Poses3D]:
    """make(frames, fps, image_size, unseen): a walker filmed by a known camera, some frames not seen."""

    def make(
        frames: int, fps: float = 50, image_size: tuple[int, int] = (1280, 720), unseen: slice | None = None
    ) -> Poses3D:
        focal = 0.9 * image_size[0]
        camera = look_at((5.5, -2.5, 1.5), (0, 0, 0.95))
        pixels, points = project(walk(frames, fps, radius=1.8), camera, image_size, focal)
        clean = Keypoints2D(pixels, np.ones((frames, 17)), H36M17, image_size, fps, source="clips/walk.mp4")
        keypoints, xyz, seen = noisy(clean, pixels=2), pixel_units(points, focal), np.ones(frames, bool)
        if unseen is not None:
            seen[unseen], xyz[unseen] = False, np.nan
            keypoints.xy[unseen], keypoints.confidence[unseen] = np.nan, 0
        return Poses3D(xyz, keypoints.confidence, seen, keypoints, model="made up")

    return make


class Chromium:
    """One page of a headless Chromium; `events` holds all that the browser reported."""

    def __init__(self, program: str, profile: str) -> None:
        down, up = os.pipe(), os.pipe()

        def connect() -> None:  # the browser reads requests from descriptor 3 and answers on 4
            reading, writing = os.dup(down[0]), os.dup(up[1])
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [program, *OPTIONS.split(), f"--user-data-dir={profile}"],
            preexec_fn=connect,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down[0])
        os.close(up[1])
        self._write, self._read, self._buffer, self._count = down[1], up[0], b"", 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def _message(self, timeout: float) -> dict[str, Any] | None:
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            piece = os.read(self._read, 1 << 16) if ready else b""
            if not piece:
                return None
            self._buffer += piece
        raw, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(raw)
        return message

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser and wait for its answer."""
        self._count += 1
        request: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._write, json.dumps(request).encode() + b"\0")
        while (message := self._message(30)) is not None:
            if message.get("id") == self._count:
                assert "error" not in message, message["error"]
                answer: dict[str, Any] = message["result"]
                return answer
            self.events.append(message)
        raise TimeoutError(f"Chromium gave no answer to {method}")

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && typeof dirty !== 'undefined' && !dirty")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, timeout: float = 15) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + timeout
        while True:
            answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
            if answer["result"].get("value") is True:
                return
            assert time.monotonic() < end, f"did not come true: {expression}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Let the page draw what changed."""
        self.until("!dirty")

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float, buttons: int = 0) -> None:
        button = "left" if buttons or kind == "mouseReleased" else "none"
        count = int(kind != "mouseMoved")
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=count)

    def click(self, x: float, y: float) -> None:
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file from the disk to an input element, as its user would."""
        self.send("DOM.enable")
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def complaints(self) -> list[str]:
        """Errors and warnings that the page has raised."""
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in bad]

    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def close(self) -> None:
        os.close(self._write)
        os.close(self._read)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def chromium() -> Iterator[Chromium]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium or Chrome on PATH to open the page with")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Chromium(program, profile)
        try:
            yield browser
        finally:
            browser.close()
