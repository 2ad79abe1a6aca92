"""Files exchanged together, also where a run is killed between two of them."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_files, atomic_path, finish_exchange, writing


def _killed_within(folder: Path, moves: int) -> None:
    """Write two files, and end the process after some of the moves, as kill -9 does."""
    whole = Path.replace
    done = 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        if self.name == ".journal.new":
            return whole(self, target)
        if done == moves:
            os._exit(9)
        done += 1
        return whole(self, target)

    Path.replace = replace  # type: ignore[method-assign]
    with atomic_files(folder, lambda file: file.name == "old.txt") as made:
        for name in ("a.txt", "b.txt"):
            (made / name).write_text("new")
        if moves < 0:
            os._exit(9)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fcntl, whose locks tell which run is gone")
@pytest.mark.parametrize("moves", [-1, 0, 1])
def test_a_killed_exchange_is_completed_by_the_next_run(tmp_path: Path, moves: int) -> None:
    for name in ("a.txt", "b.txt", "old.txt", "mine.txt"):
        (tmp_path / name).write_text("old")
    process = multiprocessing.get_context("fork").Process(target=_killed_within, args=(tmp_path, moves))
    process.start()
    process.join()
    assert process.exitcode == 9
    finish_exchange(tmp_path)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    if moves < 0:  # before all files were there: as if nothing had begun
        assert found == dict.fromkeys(("a.txt", "b.txt", "old.txt", "mine.txt"), "old")
    else:
        assert found == {"a.txt": "new", "b.txt": "new", "mine.txt": "old"}


def test_an_exchange_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    with atomic_files(tmp_path) as made:
        (made / "a.txt").write_text("new")
        finish_exchange(tmp_path)
        with atomic_files(tmp_path) as other:
            (other / "b.txt").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_nothing_is_exchanged_where_a_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(Exception, match="is a folder"), atomic_files(tmp_path) as made:
        (made / "a.txt").write_text("new")
        (made / "b.txt").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fcntl, whose locks tell which run is gone")
def test_what_a_killed_run_left_beside_a_file_goes(tmp_path: Path) -> None:
    (tmp_path / ".poses.unfinished.abc.csv").write_text("half")
    (tmp_path / ".poses.txt").write_text("somebody's")
    with atomic_path(tmp_path / "poses.csv") as first:
        with atomic_path(tmp_path / "poses.csv") as second:
            second.write_text("second")
        first.write_text("first")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".poses.txt", "poses.csv"]
    assert (tmp_path / "poses.csv").read_text() == "first"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_by_the_results_name_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "made" / "for" / "result.csv"
    with pytest.raises(OSError, match="No space left") as caught, atomic_path(target) as temporary:
        temporary.write_text("half")
        with open("/dev/full", "w") as full:  # its error names no file
            full.write("x")
    assert caught.value.filename == str(target) and caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stem", ["\U0001f600" * 62, "n" * 250])
def test_names_of_the_greatest_length_are_written(tmp_path: Path, stem: str) -> None:
    for target in (tmp_path / f"{stem}.csv", tmp_path / f"a.{stem}"):
        with atomic_path(target) as temporary:
            temporary.write_text("whole")
        assert target.read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_error_within_a_folder_of_results_names_no_temporary_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(PoseMambaError, match="cannot write there") as caught,
        atomic_files(tmp_path) as folder,
        writing(folder / "overlay.mp4"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value).startswith(f"{tmp_path / 'overlay.mp4'}: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    with pytest.raises(PoseMambaError, match="is a pipe or device"), atomic_path(pipe):
        raise AssertionError
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fcntl, whose locks tell which run is gone")
@pytest.mark.parametrize("name", ["", ".", "..", "../mine.txt", "a\0b", "\ud800", "x" * 300])
def test_a_damaged_record_of_an_exchange_moves_and_removes_nothing(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "there"
    left = folder / ".unfinished.abc"
    left.mkdir(parents=True)
    for path in (tmp_path / "mine.txt", folder / "mine.txt"):
        path.write_text("old")
    for moved, removed in (([name], ["mine.txt"]), ([], ["mine.txt", name])):
        left.mkdir(exist_ok=True)
        (left / ".journal").write_text(json.dumps({"moved": moved, "removed": removed}))
        finish_exchange(folder)
        assert [path.name for path in folder.iterdir()] == ["mine.txt"] and (tmp_path / "mine.txt").exists()
