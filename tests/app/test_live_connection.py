"""The page's WebSocket: settings, pictures, poses and recordings, and what strangers and broken pages send."""

from __future__ import annotations

import io
import json
import re
import struct
import threading
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.live.poses import LivePose
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import BLAZEPOSE33
from posemamba.utils.errors import PoseMambaError

BASE = "http://127.0.0.1:8765"
ORIGIN = {"origin": BASE}
SOCKET = "ws://127.0.0.1:8765/live/poses"


class Session:
    """A session that sees somebody in every picture that is not black."""

    def __init__(self, lifter: Any = None, **settings: Any) -> None:
        self.settings, self.lifter = settings, lifter or object()
        self.delay, self.detector = settings["delay"], settings["detector"]
        if settings["detector"] not in ("lite", "full"):
            raise PoseMambaError(f"unknown size '{settings['detector']}'")

    def detect(self, rgb: np.ndarray, time: float) -> Any:
        from posemamba.live.session import Seen

        xy = np.random.default_rng(0).uniform(100, 200, (33, 2)).astype(np.float32)
        there = Detection(xy, np.ones(len(BLAZEPOSE33), np.float32)) if rgb.any() else None
        return Seen(time, (rgb.shape[1], rgb.shape[0]), there)

    def lift(self, seen: Any) -> LivePose:
        if seen.found is None:
            return LivePose(0, seen.time, False, seen.image_size)
        zeros = np.zeros((17, 3), np.float32)
        return LivePose(
            0, seen.time, True, seen.image_size, zeros, None, None, zeros[:, :2], None, zeros[:, 0], trust=0
        )

    def finish(self) -> list[LivePose]:
        return []


@pytest.fixture
def client(opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("posemamba.live.session.LiveSession", Session)
    monkeypatch.setattr("posemamba.app.live_connection._SILENT", 5.0)
    yield opened()
    left = [thread.name for thread in threading.enumerate() if thread.name in ("look", "lift", "record")]
    assert not left, "however a page goes, its threads end"


def picture(time: float, brightness: int = 90, size: tuple[int, int] = (320, 240), format: str = "JPEG") -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", size, (brightness,) * 3).save(data, format)
    return struct.pack("<d", time) + data.getvalue()


def until(socket: Any, kind: str) -> dict[str, Any]:
    while (message := json.loads(socket.receive_text()))["type"] != kind:
        pass
    return message


def test_pictures_go_in_and_poses_come_out(client: Any) -> None:
    with client.websocket_connect(SOCKET, headers=ORIGIN) as socket:
        socket.send_json({"type": "start", "detector": "lite", "delay": 0, "height": 1.8, "field_of_view": None})
        first = until(socket, "start")
        assert first["format"] == "posemamba-live-1" and len(first["joints"]) == 21
        for time, format in ((12.5, "JPEG"), (12.6, "WEBP"), (13.0, "PNG")):
            socket.send_bytes(picture(time, format=format))
            assert until(socket, "taken")["time"] == time
            pose = until(socket, "pose")
            assert pose["time"] == time and pose["seen"] and len(pose["xyz"]) == 17 and pose["late_ms"] >= 0
        socket.send_bytes(picture(30.0, brightness=0))
        assert until(socket, "pose")["seen"] is False
        with client.websocket_connect(SOCKET, headers=ORIGIN) as other:  # one page at a time
            assert "another page" in until(other, "error")["text"]
    with client.websocket_connect(SOCKET, headers=ORIGIN) as socket:  # the next one, once it has gone
        socket.send_json({"type": "start", "detector": "full"})
        assert until(socket, "start")["detector"] == "full"


def test_a_recording_becomes_a_job_that_lifting_goes_on_from(client: Any) -> None:
    from posemamba.io.inputs import Input
    from posemamba.io.keypoints.detected import read_detected
    from posemamba.pipeline.reading import Reading

    with client.websocket_connect(SOCKET, headers=ORIGIN) as socket:
        socket.send_json({"type": "start", "detector": "lite", "delay": 0})
        until(socket, "start")
        socket.send_json({"type": "record", "on": True})
        until(socket, "recording")
        for i in range(8):
            socket.send_bytes(picture(5 + i / 10, brightness=0 if i == 4 else 90, size=(319, 240)))
            until(socket, "pose")
        socket.send_json({"type": "record", "on": False})
        told = until(socket, "recorded")
        socket.send_json({"type": "record", "on": True})  # without any picture: nothing comes of it
        until(socket, "recording")
        socket.send_json({"type": "record", "on": False})
        assert "no picture came" in until(socket, "not recorded")["text"]
    store = client.app.state.store
    job = store.get(told["job"])
    assert told["frames"] == 8 and job.kind == "video" and job.state == "new"
    kept = read_detected(store.results(job) / "keypoints.npz")
    one = Input(store.input(job), store.results(job), "video")
    assert kept.digest == Reading(detector="lite").detection_digest(one) and len(kept.people[0]) == 8
    assert kept.people[0].image_size == (320, 240)
    assert np.allclose(kept.people[0].frame_times(), np.arange(8) / 10, atol=1e-4)
    assert kept.people[0].confidence[4].max() == 0
    assert not list((store.folder / "uploads").iterdir())


def test_a_page_that_goes_in_mid_recording_leaves_nothing(client: Any) -> None:
    with client.websocket_connect(SOCKET, headers=ORIGIN) as socket:
        socket.send_json({"type": "start", "detector": "lite", "delay": 0})
        until(socket, "start")
        socket.send_json({"type": "record", "on": True})
        until(socket, "recording")
        socket.send_bytes(picture(1.0))
        until(socket, "pose")
    store: Any = client.app.state.store
    end = clock.monotonic() + 5
    while list((store.folder / "uploads").iterdir()) and clock.monotonic() < end:
        clock.sleep(0.02)
    assert not list((store.folder / "uploads").iterdir()) and not list(store)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([{"type": "record", "on": True}], "first message"),
        ([{"type": "start", "detector": "huge"}], "huge"),
        ([{"type": "start", "detector": 3}], "no meaning"),
        ([{"type": "start", "delay": 2.5}], "whole number"),
        ([{"type": "start", "height": "1.8"}], "height is no number"),
        ([{"type": "start", "height": 10**400}], "height is no number up to"),
        (['{"type": "start", "field_of_view": NaN}'], "field of view is no number up to"),
        ([{"type": "start", "weights": "../../secret.safetensors"}], "'weights'"),
        (["no JSON"], "JSON"),
        (["[" * 3_000], "JSON"),
        ([json.dumps({"type": "start", "detector": "x" * 5_000})], "JSON"),
        ([{"type": "start"}, b"123"], "bytes"),
        ([{"type": "start"}, struct.pack("<d", float("nan")) + b"123"], "time"),
        ([{"type": "start"}, struct.pack("<d", 1.0) + b"GIF89a" + bytes(40)], "no JPEG"),
        ([{"type": "start"}, picture(1.0)[:300]], "damaged"),
        ([{"type": "start"}, picture(1.0, size=(6_000, 3_000), format="PNG")], "6000 x 3000"),
        ([{"type": "start"}, picture(1.0, size=(8, 8))], "8 x 8"),
        ([{"type": "start"}, struct.pack("<d", 1.0) + bytes(4_000_001)], "4000009 bytes"),
    ],
)
def test_nonsense_of_a_page_ends_in_a_line(client: Any, sent: list[Any], words: str) -> None:
    with client.websocket_connect(SOCKET, headers=ORIGIN) as socket:
        for one in sent:
            if isinstance(one, bytes):
                until(socket, "start")
                socket.send_bytes(one)
            else:
                socket.send_text(one if isinstance(one, str) else json.dumps(one))
        assert words in until(socket, "error")["text"]


def test_strangers_get_no_poses(client: Any) -> None:
    from starlette.websockets import WebSocketDisconnect

    for headers in ({"origin": "http://evil.example"}, {**ORIGIN, "host": "evil.example"}, {"origin": "null"}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=headers) as socket:
            socket.receive_text()
    client.cookies.clear()
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=ORIGIN) as socket:
        socket.receive_text()
    assert client.get("/live").status_code == 403


def test_the_page_and_its_parts_are_there_and_nothing_else(client: Any) -> None:
    styles: list[str] = []
    for page in ("/", "/live"):
        for name in re.findall(r'(?:src|href)="([^"#]+)"', client.get(page).text):
            answer = client.get(name)
            assert answer.status_code == 200, name
            styles += [answer.text] if name.endswith(".css") and answer.text not in styles else []
    roots = [re.findall(r"^:root[^{]*\{(.*?)\}", text, re.M | re.S) for text in styles]
    colours = [name for root in roots for name in set(re.findall(r"(--[\w-]+):", "".join(root)))]
    assert len(styles) == 3 and len(colours) == len(set(colours)) > 20  # none stands in two files
    assert "class Renderer" in client.get("/result/webgl.js").text
    assert client.get("/live/settings").json()["detector"] == "full"
    for name in ("main.js", "page.html", "..%2f..%2fviewer.py", "%2e%2e/page.css"):
        assert client.get(f"/result/{name}").status_code == 404
    assert (Path(__file__).parents[2] / "src/posemamba/show/page/main.js").is_file()
