"""The sign of life on a terminal, erased before a command writes anything itself, and absent where nobody looks."""

from __future__ import annotations

import io
import sys
import time

import pytest

from posemamba.cli import waiting


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Return what is put in place of both streams; in the test itself, as pytest puts its own there before it."""
    shown = _Terminal()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, shown)
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    return shown


def test_it_is_erased_before_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    with waiting.sign_of_life():
        time.sleep(0.2)
        print("result")
        time.sleep(0.2)  # it does not come back
    text = shown.getvalue()
    assert text.startswith("\r| starting ...") and text.endswith("\r\033[Kresult\n") and text.count("\033[K") == 1
    assert sys.stdout is shown and sys.stderr is shown


def test_nothing_is_shown_of_quick_commands_and_in_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    monkeypatch.setattr(waiting, "FIRST", 10)
    with waiting.sign_of_life():
        print("quick")
    assert shown.getvalue() == "quick\n"
    log = io.StringIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, log)
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    with waiting.sign_of_life():
        time.sleep(0.1)
        print("slow")
    assert log.getvalue() == "slow\n"
