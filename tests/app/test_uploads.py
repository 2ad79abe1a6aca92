"""Uploads: what is refused before a byte is read, and what is left on disk of those that break off: nothing."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from posemamba.app import uploads
from posemamba.app.jobs import clean_name
from posemamba.utils.errors import PoseMambaError


def left(client: Any) -> list[Path]:
    """All files of uploads and jobs."""
    folder = client.app.state.store.folder
    return [path for part in ("uploads", "jobs") for path in (folder / part).rglob("*")]


def test_a_file_becomes_a_job_byte_by_byte(opened: Callable[..., Any]) -> None:
    client, content = opened(), bytes(range(256)) * 3000
    answer = client.post(f"/api/files?name={quote('Läufer 2 <b>.MP4')}", content=content)
    assert answer.status_code == 201 and answer.json()["name"] == "Läufer 2 _b_.MP4"
    (job,) = client.app.state.store
    assert client.app.state.store.input(job).read_bytes() == content
    assert (job.kind, job.size, job.state) == ("video", len(content), "new")
    assert client.get("/api/jobs").json()["jobs"][0]["id"] == job.id


@pytest.mark.parametrize(
    "name", ["../a.mp4", "..\\a.mp4", "/etc/a.mp4", "a/b.mp4", "a\0.mp4", "a\n.mp4", "..", ".", "", " "]
)
def test_a_name_that_is_a_path_is_refused_and_nothing_written(opened: Callable[..., Any], name: str) -> None:
    client = opened()
    assert client.post(f"/api/files?name={quote(name)}", content=b"x").status_code == 400
    assert left(client) == []
    with pytest.raises(PoseMambaError):
        clean_name(name)


@pytest.mark.parametrize("name", ["a.exe", "a", "a.html", "a.mp4.sh", ".mp4", "con", "a." + "x" * 40])
def test_other_files_are_refused(opened: Callable[..., Any], name: str) -> None:
    client = opened()
    assert client.post(f"/api/files?name={quote(name)}", content=b"x").status_code in (400, 415)
    assert left(client) == []


@pytest.mark.parametrize(
    "name", ["con.mp4", "x" * 300 + ".mp4", "é" * 200 + ".npz", "--help.mp4", "a?*|.mp4", "..a.mp4", "\ud800.mp4"]
)
def test_clean_names_are_plain_and_stay_clean(name: str) -> None:
    clean = clean_name(name)
    assert clean == clean_name(clean) and len(clean.encode()) <= 125 and not clean.lower().startswith(("con.", "."))


def test_a_huge_an_endless_and_an_empty_upload_are_refused_before_they_are_read(opened: Callable[..., Any]) -> None:
    client, read = opened(largest=1000), []

    def endless() -> Iterator[bytes]:
        for _ in range(5):
            read.append(1)
            yield b"x" * 100

    for headers, code in (
        ({"content-length": "1001"}, 413),
        ({"content-length": "9" * 30}, 413),
        ({"content-length": "-5"}, 411),
        ({"content-length": "1e3"}, 411),
        ({}, 411),
        ({"content-length": "0"}, 400),
        ({"content-length": "5", "transfer-encoding": "chunked"}, 411),  # which the body then follows, without end
        ({"content-length": "150"}, 400),  # more comes
    ):
        answer = client.post("/api/files?name=a.mp4", content=endless(), headers=headers)
        assert answer.status_code == code, answer.text
    assert left(client) == []


def test_a_disk_without_room_is_said_before_and_during_an_upload(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened()
    usage = shutil.disk_usage(client.app.state.store.folder)
    with monkeypatch.context() as patch:
        patch.setattr(uploads.shutil, "disk_usage", lambda folder: usage._replace(free=uploads.RESERVE + 10))
        answer = client.post("/api/files?name=a.mp4", content=b"x" * 100)
    assert answer.status_code == 507 and "make room" in answer.json()["error"]

    async def full(*given: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(uploads.anyio.to_thread, "run_sync", full)
        answer = client.post("/api/files?name=a.mp4", content=b"x" * 100)
    assert answer.status_code == 507 and "No space left" in answer.json()["error"]
    assert left(client) == []


@pytest.mark.parametrize("how", ["breaks off", "stalls"])
def test_an_upload_that_does_not_end_leaves_nothing(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    client = opened(largest=10_000_000)
    keys, sent, waited = client.app.state.keys, [], []
    monkeypatch.setattr(uploads, "STALLED", 0.05)
    headers = {
        "host": "127.0.0.1:8765",
        "origin": "http://127.0.0.1:8765",
        "cookie": f"{keys.cookie}={keys.secret}",
        "content-length": "5000000",
    }
    scope = {
        "type": "http", "method": "POST", "path": "/api/files", "query_string": b"name=a.mp4", "http_version": "1.1",
        "scheme": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        waited.append(1)
        if len(waited) < 4:
            return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": True}
        assert len(left(client)) == 1
        if how == "stalls":
            await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == (408 if how == "stalls" else 400)
    assert left(client) == []


def test_what_a_killed_server_left_of_uploads_is_removed_at_the_next_start(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "uploads").mkdir(parents=True)
    (folder / "uploads" / "0123456789abcdef.part").write_bytes(b"half")
    (folder / "uploads" / "mine.txt").write_bytes(b"a file of the user's, who chose a folder that was there")
    (folder / "jobs" / ".deleted-0123456789abcdef" / "input").mkdir(parents=True)
    assert left(opened()) == [folder / "uploads" / "mine.txt"]


def test_a_request_that_is_no_upload_is_small(opened: Callable[..., Any]) -> None:
    client = opened()
    assert client.post("/api/start", content=b"x" * 70_000).status_code == 413
    for body in (
        b"[",
        b"[]",
        b"[" * 60_000,
        b'{"jobs": []}',
        b'{"jobs": ["../.."]}',
        b'{"jobs": ["0123456789abcdef"]}',
    ):
        assert client.post("/api/start", content=body).status_code in (400, 404)
