"""Targets of the application and of live poses: jobs on disk, requests, uploads, settings, pictures, sources."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import numpy as np
from tests.fuzz.mutate import FLOATS, NUMBERS, WORDS, Random
from tests.fuzz.target import Target, command

ID = "0123456789abcdef"
BASE = "http://127.0.0.1:8765"


def make(folder: Path) -> None:
    """Write whole files; those of `seeds.py` are there."""
    from posemamba.app.options import checked

    folder = folder / "app"
    folder.mkdir()
    people = [
        {"person": number, "frames": 12, "of": 12, "begin": 0.0, "end": 0.44, "sides": ["left"], "place": [0, 0, 9, 9]}
        for number in (1, 2)
    ]
    job = {
        "id": ID,
        "name": "one.npz",
        "kind": "keypoints",
        "size": 1234,
        "created": 1.75e9,
        "queued": 1.75e9,
        "begun": 1.75e9,
        "ended": 1.75e9,
        "state": "choose",
        "options": checked({"height": "1.78", "every": "2", "fov": 60}),
        "people": people,
        "person": "",
        "video": "",
        "stage": "lifting",
        "done": 3,
        "total": 12,
        "frames": 12,
        "seconds": {"finding joints": 1.5, "lifting": 0.5},
        "message": "",
        "notes": ["a note"],
        "result": {"frames": 12, "seconds": 0.5, "people": [{"person": 1, "word": "good", "sentence": "x"}]},
    }
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "stopped.json").write_text(json.dumps({**job, "state": "cancelled", "person": "1"}))
    (folder / "start.json").write_text(json.dumps({"jobs": [ID], "options": job["options"]}))
    (folder / "choose.json").write_text(json.dumps({"person": "1"}))
    (folder / "secret").write_text("a" * 43)
    (folder / "address").write_text(f"{BASE}/?token={'a' * 43}")
    settings = {"type": "start", "detector": "full", "delay": 0, "height": 1.8, "field_of_view": 60, "flip": False}
    (folder / "live.json").write_text(json.dumps(settings))


@contextlib.contextmanager
def _page(folder: Path) -> Iterator[Any]:
    """Open the application of a folder as a browser does; its jobs wait, and none is worked at."""
    from starlette.testclient import TestClient

    from posemamba.app.guard import Keys
    from posemamba.app.jobs import Store
    from posemamba.app.routes import Api
    from posemamba.app.runner import Runner
    from posemamba.app.server import make_application
    from posemamba.cli.app import check_arguments

    store, keys = Store(folder), Keys()
    api = Api(store, Runner(store, [sys.executable, "-c", ""], at_once=0), check_arguments)
    with TestClient(make_application(keys, api), base_url=BASE, headers={"origin": BASE}) as page:
        assert page.get("/", params={"token": keys.token}).status_code == 200
        yield page


def _told(answer: Any) -> Any:
    """Return what the server answered.

    Raises:
        AssertionError: it failed, or its error is not one line.
        PoseMambaError: it refused, in one line.
    """
    from posemamba.utils.errors import PoseMambaError

    assert answer.status_code < 500 or answer.status_code == 507, f"{answer.status_code}: {answer.text[:200]}"
    plain = answer.headers.get("content-type") != "application/json"
    if answer.status_code < 400:
        return None if plain else answer.json()
    said = answer.text if plain else answer.json()["error"]
    assert said.strip() and len(said.splitlines()) == 1, f"{answer.status_code}: {said[:200]!r}"
    raise PoseMambaError(said)


def _home(folder: Path, seeds: Path, job: Path) -> Path:
    """Make the folder of an application with one job; return the application's."""
    home = folder / "app" / "jobs" / ID
    (home / "input").mkdir(parents=True)
    (home / "results").mkdir()
    shutil.copy(seeds / "one.npz", home / "input" / "one.npz")
    shutil.copy(seeds / "poses.npz", home / "results" / "poses.npz")
    shutil.copy(job, home / "job.json")
    return folder / "app"


def _jobs(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """The folder of an application in which a job's state is damaged, and what its page does with that job."""
    from posemamba.app.estimate import seconds_left
    from posemamba.app.options import arguments
    from posemamba.cli.app import check_arguments
    from posemamba.utils.errors import PoseMambaError

    with _page(_home(folder, seeds, file)) as page:
        if not _told(page.get("/api/jobs"))["jobs"]:
            raise PoseMambaError(f"{file}: is left out of the list")
        store, here = page.app.state.store, f"/api/jobs/{ID}"
        _told(page.get(here))
        action = draw.choice(("continue", "choose", "start", "cancel", "zip", "remove"))
        if action == "choose":
            _told(page.post(f"{here}/choose", json={"person": "1"}))
        elif action == "start":
            _told(page.post("/api/start", json={"jobs": [ID]}))
        elif action == "zip":
            _told(page.get(f"/jobs/{ID}/all.zip"))
        elif action == "remove":
            _told(page.delete(here))
        else:
            _told(page.post(f"{here}/{action}"))
        _told(page.get("/api/jobs"))
        for job in store:
            for pace in (None, 0.1):
                seconds_left(job, pace, 1.0)
            if job.state == "waiting":  # as its worker is given them
                given = arguments(job.options, job.kind, job.person)
                check_arguments([str(store.input(job)), f"--out={store.results(job)}", *given])


def _requests(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """Damaged bodies of requests, odd addresses, and uploads with odd names."""
    with _page(_home(folder, seeds, seeds / "app" / "job.json")) as page:
        odd = draw.choice((ID, ID, ID, "0" * 16, "..", "%2e%2e", "x" * 300, "%00"))
        if draw.random() < 0.3:
            stem = draw.choice((*WORDS, "..", "con", "--out=x", "a" * 115)) + draw.choice((".mp4", ".npz", "", ".exe"))
            name = quote(stem.encode("utf-8", "surrogatepass"))
            _told(page.post(f"/api/files?name={name}", content=file.read_bytes()))
        elif file.name == "start.json":
            _told(page.post("/api/start", content=file.read_bytes()))
        else:
            _told(page.post(f"/api/jobs/{odd}/{draw.choice(('choose', 'choose', 'video'))}", content=file.read_bytes()))
        _told(page.get("/api/jobs"))


def _kept(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """The secret and the address in an application's folder, of which one is damaged."""
    from posemamba.app.serving import _other, _secret

    assert len(_secret(file.parent)) >= 32
    if file.name == "address":
        _other(file.parent)


class _Person:
    """The detector of live poses, which finds one person whatever the picture shows."""

    def __init__(self, size: str = "lite", *, threads: int | None = 1) -> None:
        from posemamba.live.session import SIZES
        from posemamba.poses.skeletons import BLAZEPOSE33
        from posemamba.utils.errors import PoseMambaError

        if size not in SIZES:
            raise PoseMambaError(f"unknown size of BlazePose '{size}', expected one of {', '.join(SIZES)}")
        self.skeleton, self._frame = BLAZEPOSE33, -1

    def __call__(self, rgb: Any, time: float) -> Any:
        from tests.fuzz.seeds import people_of

        from posemamba.poses.detections import Detection

        person = people_of(self.skeleton, 1)[0]
        self._frame = (self._frame + 1) % len(person)
        return Detection(person.xy[self._frame], person.confidence[self._frame])


@cache
def _lifter(weights: Path) -> Any:
    from posemamba.lifting.lifter import Lifter

    return Lifter.from_pretrained(weights, device="cpu")


def _session(seeds: Path) -> contextlib.ExitStack:
    """Put small weights and `_Person` in the place of those of live poses."""
    from posemamba.live import session

    real, stack = session.LiveSession, contextlib.ExitStack()

    def small(lifter: Any = None, **settings: Any) -> Any:
        return real(lifter=_lifter(seeds / "mamba.safetensors"), **settings)

    stack.enter_context(mock.patch("posemamba.live.session.LiveSession", small))
    stack.enter_context(mock.patch("posemamba.detect.blazepose.one_person.OnePersonDetector", _Person))
    return stack


def _settings(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """Live poses in a browser: its first message is damaged, or one of its pictures."""
    from posemamba.app.live_connection import decode, split
    from posemamba.utils.errors import PoseMambaError

    whole = (seeds / "picture.jpg").read_bytes()
    first, picture = (file.read_bytes(), whole) if file.suffix == ".json" else (b"", file.read_bytes())
    if not first:
        odd = [value for value in (*NUMBERS, *FLOATS) if abs(value) < 1e308 or value != value]
        time = struct.pack("<d", draw.choice(odd) if draw.random() < 0.1 else 0.04)
        decode(split(time[: 3 if draw.random() < 0.05 else 8] + picture)[1])
        if draw.random() < 0.7:
            return
        first = (seeds / "app" / "live.json").read_bytes()
    records, address = draw.random() < 0.2, f"{BASE.replace('http', 'ws')}/live/poses"
    with (
        _page(folder / "app") as page,
        _session(seeds),
        page.websocket_connect(address, headers={"origin": BASE}) as socket,
    ):
        messages: list[dict[str, Any]] = []

        def until(*kinds: str) -> bool:
            """Receive messages up to one of these kinds; False: the server has closed the connection."""
            while (got := socket.receive())["type"] != "websocket.close":
                messages.append(json.loads(got["text"]))
                if messages[-1]["type"] in (*kinds, "error"):
                    return messages[-1]["type"] != "error"
            return False

        socket.send_text(first.decode("utf-8", "replace"))
        going = until("start")
        if going and records:
            socket.send_json({"type": "record", "on": True})
            going = until("recording")
        for number in range(3):
            if going:
                socket.send_bytes(struct.pack("<d", number / 25) + (picture if number == 1 else whole))
                going = until("taken")
        if going and records:
            socket.send_json({"type": "record", "on": False})
            going = until("recorded", "not recorded")
        if going:
            socket.send_json({"type": "stop"})
            until()
    errors = [message["text"] for message in messages if message["type"] in ("error", "not recorded")]
    assert not any("a fault of this program" in text for text in errors), errors
    if errors:
        assert len(errors[0].splitlines()) == 1, errors
        raise PoseMambaError(errors[0])


def _live(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    """A damaged video as the source of live poses, or as what a camera gives."""
    from posemamba.live.sources import Source, _read_stream

    if draw.random() < 0.25:
        for taken in _read_stream(Source("camera", "camera 0", str(file)), 0, lambda line: None):
            np.asarray(taken.picture() if callable(taken.picture) else taken.picture)
        return None
    more: tuple[object, ...] = ("--record", folder / "out") if draw.random() < 0.3 else ()
    more += draw.choice(((), ("--height", "1.8"), ("--delay", "5"), ("--axes", "unity")))
    with (
        mock.patch("posemamba.detect.blazepose.one_person.OnePersonDetector", _Person),
        mock.patch("posemamba.cli.live._lift"),
    ):
        weights = seeds / "mamba.safetensors"
        return command("live", file, "--fast", "-o", folder / "lines.jsonl", "--weights", weights, *more)


LIVE = {f"video.{suffix}": "bytes" for suffix in ("mp4", "mkv", "avi", "mov", "y4m")}
TARGETS = {"live": Target(LIVE, _live, 1)}
if find_spec("starlette"):
    TARGETS |= {
        "jobs of the app": Target({"app/job.json": "json", "app/stopped.json": "json"}, _jobs, 1.5),
        "requests to the app": Target({"app/start.json": "json", "app/choose.json": "json"}, _requests, 1.5),
        "folder of the app": Target({"app/secret": "text", "app/address": "text"}, _kept, 0.3),
        "live in the app": Target(
            {"app/live.json": "json", **dict.fromkeys(("picture.jpg", "picture.png", "picture.webp"), "bytes")},
            _settings,
            1.5,
        ),
    }
