"""Addresses as paths, and files listed and copied from them with what a digest depends on."""

from __future__ import annotations

import datetime
from pathlib import Path

import fsspec
import pytest

from posemamba.io.addresses import RemoteFolder, address_of, fetch, list_inputs, stand_in
from posemamba.io.inputs import digest
from posemamba.utils.errors import PoseMambaError


def test_a_path_of_an_address_and_one_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_of(Path("s3://bucket/a b.mp4")) == "s3://bucket/a b.mp4"
    assert address_of(Path("file:///data/a.mp4")) == "file:///data/a.mp4"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "a.mp4").touch()
    for path in (Path("a.mp4"), Path("/data/a.mp4"), Path("C:/a.mp4"), Path("s3://a.mp4")):
        assert address_of(path) is None


def test_a_stand_in_has_the_digest_of_the_file(tmp_path: Path) -> None:
    memory, base = fsspec.filesystem("memory"), f"memory://{tmp_path.name}"
    for name in ("b.npz", "a.mp4", "summary.csv", "notes.txt", ".hidden.mp4"):
        memory.pipe_file(f"{base}/{name}", b"content")
    assert list_inputs(base) == [(f"{base}/a.mp4", "video"), (f"{base}/b.npz", "keypoints")]
    assert list_inputs(f"{base}/*.npz") == [(f"{base}/b.npz", "keypoints")]
    with pytest.raises(PoseMambaError, match="holds no videos and no keypoint files"):
        list_inputs(f"{base}/*.mov")
    local = stand_in(f"{base}/b.npz", tmp_path)
    before = digest({}, local)
    assert local.read_bytes() == bytes(7)
    fetch(f"{base}/b.npz", local)
    assert local.read_bytes() == b"content" and digest({}, local) == before
    changed = memory.modified(f"{base}/b.npz").timestamp()
    assert abs(local.stat().st_mtime - changed) < 1e-3 and changed < datetime.datetime.now().timestamp() + 1


def test_results_are_sent_with_the_poses_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, base = fsspec.filesystem("memory"), f"memory://{tmp_path.name}/out"
    memory.pipe_file(f"{base}/poses.npz", b"earlier")
    memory.pipe_file(f"{base}/poses.bvh", b"earlier")
    memory.pipe_file(f"{base}/notes.txt", b"the user's")
    folder = RemoteFolder(base, tmp_path / "here")
    folder.look()
    assert (folder.local / "poses.npz").read_bytes() == b"earlier" and (folder.local / "poses.bvh").read_bytes() == b""
    folder.forget_results()
    for name in ("poses.npz", "poses.json"):
        (folder.local / name).write_bytes(b"new")
    sent: list[str] = []
    put = type(memory).put_file

    def note(self: object, here: str, there: str) -> None:
        if not sent:
            assert not memory.exists(f"{base}/poses.npz"), "what is there is not whole while it is exchanged"
        sent.append(Path(here).name)
        put(self, here, there)

    monkeypatch.setattr(type(memory), "put_file", note)
    folder.send(lambda name: name.startswith("poses"))
    assert sent == ["poses.json", "poses.npz"]
    there = {Path(name).name: memory.cat_file(name) for name in memory.ls(base, detail=False)}
    assert there == {"poses.npz": b"new", "poses.json": b"new", "notes.txt": b"the user's"}
