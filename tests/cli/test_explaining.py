"""Errors of the surroundings in one line, and streams that are closed at the start."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from posemamba import cli
from posemamba.cli.explaining import explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left", "/a/b.csv"), "/a/b.csv: No space left: make room"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", b"\xff"), "shorter name"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR"),
        (RuntimeError("can't start new thread"), "ulimit"),
        (RuntimeError("Could not determine home directory."), "set HOME"),
        (ImportError("libx.so: failed to map segment from shared object"), "memory ran out"),
        (ImportError("libx.so: cannot open shared object file: Too many open files"), "ulimit -n"),
        (RuntimeError("Symlink loop from '/a'"), "'/a'"),
        (MemoryError(), "memory ran out"),
        (ValueError("embedded null byte"), "NUL"),
    ],
)
def test_what_the_surroundings_lack_is_one_line(error: Exception, words: str) -> None:
    line = explain(error)
    assert line is not None and words in line and "\n" not in line


def test_faults_of_the_program_are_not_explained() -> None:
    assert explain(KeyError("x")) is None and explain(OSError(errno.ENOENT, "No such file")) is None
    assert explain(ImportError("No module named 'x'")) is None


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, tmp_path: Path) -> None:
    """Nor does what is printed get into a file that was opened in a stream's place."""
    code = (
        "import os, sys; from posemamba import cli; code = cli.main(['--version']); "
        f"file = open({str(tmp_path / 'result')!r}, 'wb'); os.write(1, b'out'); os.write(2, b'err'); "
        "print('more', file=sys.stderr); print('more'); sys.exit(code)"
    )
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-c", code], capture_output=True, check=False
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert (tmp_path / "result").read_bytes() == b""


@pytest.mark.skipif(os.name == "nt", reason="a working folder cannot be removed there")
def test_a_working_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.main(["info", "--model", "s"]) == 2
    assert capsys.readouterr().err.startswith("error: the working folder is gone")
    assert cli.main(["--version"]) == 0


def test_doctor_says_which_work_lacks_its_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from posemamba.cli import examination

    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    found = next(finding for finding in examination._extras() if "video" in finding.about)
    assert found.lacks.startswith("av missing: videos cannot be read") and "pictures" not in found.lacks
    monkeypatch.setattr(examination, "examine", lambda: iter([found]))
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "All is well" not in said and said.splitlines()[-1].endswith(f"{found.lacks}.")


def test_a_warning_that_holds_a_traceback_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cli._show_warning("NUMBA_NUM_THREADS: could not be parsed:\nTraceback (most recent call last):\n  File x")
    assert capsys.readouterr().err == "warning: NUMBA_NUM_THREADS: could not be parsed:\n"
