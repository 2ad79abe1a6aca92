"""Sources of live pictures: what a text means, files at their own rate, addresses that break."""

from __future__ import annotations

import http.server
import threading
import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.live.sources import find_source, read_source
from posemamba.utils.errors import PoseMambaError


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av", reason="the extra 'video'")
    from posemamba.io.video.writer import VideoWriter

    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with VideoWriter(path, fps=25) as writer:
        for i in range(20):
            writer.write(np.full((48, 64, 3), 10 * i, np.uint8))
    return path


def test_a_text_is_a_camera_an_address_or_a_file(film: Path) -> None:
    assert find_source("0", "linux").opened == "/dev/video0" and find_source("0", "linux").format == "v4l2"
    assert find_source("1", "darwin").opened == "1:none" and find_source("1", "darwin").format == "avfoundation"
    assert find_source("video=HD Webcam", "win32").format == "dshow"
    assert find_source("/dev/video2", "linux").kind == "camera"
    secret = find_source("rtsp://me:secret@10.0.0.5/stream")
    assert secret.kind == "address" and "secret" in secret.opened and "secret" not in secret.name
    assert find_source(str(film)).kind == "file"
    for text, words in (
        ("file:///etc/passwd", "an address of 'file'"),
        ("concat://a|b", "concat"),
        ("nothing.mp4", "no such file"),
        (str(film.parent), "a folder"),
    ):
        with pytest.raises(PoseMambaError, match=words):
            find_source(text, "linux")
    with pytest.raises(PoseMambaError, match="video=NAME"):
        find_source("0", "win32")
    with pytest.raises(PoseMambaError, match="no cameras"):
        find_source("0", "sunos5")


def test_a_file_comes_at_its_own_rate_or_at_once(film: Path) -> None:
    took = {}
    for paced in (True, False):
        began = clock.monotonic()
        taken = [(one.time, int(one.picture().mean())) for one in read_source(find_source(str(film)), paced=paced)]
        took[paced] = clock.monotonic() - began
        assert np.allclose([time for time, _ in taken], np.arange(20) / 25, atol=1e-3)
        assert np.allclose([mean for _, mean in taken], 10 * np.arange(20), atol=3)
    assert took[True] > 0.7 > took[False]


def test_cameras_and_addresses_that_are_not_there_are_told_in_a_line() -> None:
    pytest.importorskip("av", reason="the extra 'video'")
    for text in ("/dev/video99", "http://127.0.0.1:9/stream", "rtsp://127.0.0.1:9/stream"):
        with pytest.raises(PoseMambaError, match=r"video99|127\.0\.0\.1:9") as caught:
            next(read_source(find_source(text, "linux")))
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_camera_that_vanishes_is_tried_again_and_then_given_up(film: Path) -> None:
    """A server of motion JPEG that ends each connection after three pictures, and answers only twice."""
    from io import BytesIO

    from PIL import Image

    asked: list[str] = []

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) > 5:  # opened, and opened anew to look whether it is back
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for i in range(60):
                data = BytesIO()
                Image.fromarray(np.full((48, 64, 3), 3 * i, np.uint8)).save(data, "JPEG")
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data.getvalue())}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data.getvalue() + b"\r\n")
                except OSError:
                    return

        def log_message(self, *unused: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told: list[str] = []
    times: list[float] = []
    try:
        source = find_source(f"http://127.0.0.1:{server.server_port}/camera.mjpg")
        with pytest.raises(PoseMambaError, match="has vanished"):
            for one in read_source(source, reconnect=2.0, tell=told.append):
                assert one.picture().shape == (48, 64, 3)
                times.append(one.time)
    finally:
        server.shutdown()
    assert any("is back" in line for line in told) and (np.diff(times) > 0).all() and len(times) > 60
