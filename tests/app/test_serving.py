"""Start of the server: one for a folder, at a port that is free, with secrets that the user alone can read."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra 'app'")

from posemamba import cli
from posemamba.app import serving
from posemamba.app.guard import Keys
from posemamba.utils.errors import PoseMambaError


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the servers that are started have: they answer, and end at once."""
    started: list[dict[str, Any]] = []

    class Ends(serving._Server):
        def run(self, sockets: Any = None) -> None:
            folder = tmp_path / "folder"
            held = {name: (folder / name).read_text() for name in ("address", "secret")}
            modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
            started.append({**held, "modes": modes, "port": sockets[0].getsockname()[1], "config": self.config})
            assert cli.main(["app", "--folder", str(folder), "--no-open"]) == 0  # a second one shows the first
            self._answers()

    monkeypatch.setattr(serving, "_Server", Ends)
    return started


def start(tmp_path: Path, *options: str) -> int:
    return cli.main(["app", "--folder", str(tmp_path / "folder"), "--no-open", *options])


def test_one_server_a_folder_and_a_secret_that_stays(
    served: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, "--port", "0") == 0 and start(tmp_path, "--port", "0") == 0
    one, two = served
    assert one["address"] != two["address"] and one["secret"] == two["secret"]
    assert one["address"].startswith(f"http://127.0.0.1:{one['port']}/?token=")
    said = capsys.readouterr().out
    assert f"runs already, at {one['address']}" in said and f"PoseMamba is at {one['address']}" in said
    assert "Only this computer can open it." in said
    if os.name == "posix":
        assert one["modes"]["folder"] == 0o700 and {one["modes"][name] for name in ("address", "secret")} == {0o600}
    assert not (tmp_path / "folder" / "address").exists()
    assert one["config"].access_log is False and one["config"].proxy_headers is False  # which would hold the token
    (tmp_path / "folder" / "secret").write_text("short")
    assert start(tmp_path, "--port", "0") == 0 and len(served[2]["secret"]) > 32


def test_a_port_that_is_taken_is_left_unless_it_was_asked_for(
    served: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("posemamba.cli.app.PORT", port)
        assert start(tmp_path) == 0 and served[0]["port"] != port
        capsys.readouterr()
        assert start(tmp_path, "--port", str(port)) == 2
        assert "choose another port" in capsys.readouterr().err


def test_a_network_is_opened_with_a_warning(
    served: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, "--port", "0", "--host", "0.0.0.0") == 0
    said = capsys.readouterr().out
    assert (
        "It is open to the network at 0.0.0.0" in said and "not encrypted" in said and "Only this computer" not in said
    )


def test_it_serves_on_where_nobody_reads_what_it_prints(
    served: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.close(read)
    with contextlib.suppress(OSError), open(write, "w", encoding="utf-8") as nobody:
        monkeypatch.setattr("sys.stdout", nobody)
        assert start(tmp_path, "--port", "0") == 0 and len(served) == 1


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--host", "", "is empty"), ("--host", "ä..b", "cannot listen"), ("--largest", "inf", "--largest")],
)
def test_nonsense_opens_nothing_to_anybody(
    option: str,
    value: str,
    words: str,
    served: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert start(tmp_path, "--port", "0", option, value) == 2 and not served
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said


def test_keys_are_long_and_never_the_same() -> None:
    keys = [Keys() for _ in range(3)]
    assert len({key for one in keys for key in (one.token, one.secret)}) == 6 and len(keys[0].token) >= 43


def test_without_the_extra_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert start(tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "'uvicorn'" in said and "starlette>=" in said
    assert not (tmp_path / "folder").exists()


def test_a_damaged_address_of_another_server_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "address").write_bytes(b"http://\xff")
    with pytest.raises(PoseMambaError, match="another posemamba app uses it"):
        serving._other(tmp_path)
