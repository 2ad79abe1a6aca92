"""Lifts that are interrupted while joints are found: what is said, kept, used again and removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.command_line import lifted, snapshot, write_video
from fixtures.documents import Walkers
from posemamba import cli
from posemamba.detect import Detection
from posemamba.detect.unfinished import FILE
from posemamba.utils.errors import PoseMambaError


class Follows(Walkers):
    """A following detector that stops at a frame."""

    doubtful = frozenset[int]()
    stop: Callable[[int], None] = staticmethod(lambda frame: None)
    searched: list[int] = []  # noqa: RUF012  # of all detectors

    def begin(self, fps: float) -> None:
        self._frame = -1

    @property
    def state(self) -> dict[str, Any]:
        return {"frame": self._frame}

    def resume(self, fps: float, state: Mapping[str, Any]) -> None:
        self._frame = state["frame"]

    def __call__(self, rgb: np.ndarray) -> list[Detection]:
        self.searched.append(self._frame + 1)
        type(self).stop(self._frame + 1)
        return super().__call__(rgb)


@pytest.fixture
def arguments(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    video = write_video(tmp_path / "video.mp4", frames=20)
    monkeypatch.setattr("posemamba.detect.blazepose.BlazePoseDetector", Follows)
    monkeypatch.setattr(Follows, "searched", [])
    return [video, "-o", tmp_path / "new" / "out", "--weights", weights, "--no-overlay", "--no-viewer"]


def stop_at(monkeypatch: pytest.MonkeyPatch, frame: int, error: BaseException) -> None:
    def stop(now: int) -> None:
        if now == frame:
            monkeypatch.setattr(Follows, "stop", staticmethod(lambda frame: None))
            raise error

    monkeypatch.setattr(Follows, "stop", staticmethod(stop))


def test_it_goes_on_where_it_was_interrupted(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, part = tmp_path / "new" / "out", tmp_path / "new" / "out" / FILE
    whole = [arguments[0], "-o", tmp_path / "whole", *arguments[3:]]
    assert lifted(*whole) == 0
    Follows.searched.clear()
    capsys.readouterr()
    for frame in (7, 11):
        stop_at(monkeypatch, frame, KeyboardInterrupt())
        assert lifted(*arguments) == 130
        assert f"interrupted; kept: the joints of {frame} frames ({part})" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == [FILE]
    stop_at(monkeypatch, 15, RuntimeError("a crash"))
    with pytest.raises(RuntimeError, match="a crash"):
        lifted(*arguments)
    assert "failed; kept: the joints of 15 frames" in capsys.readouterr().err
    assert lifted(*arguments) == 0
    assert "going on from frame 15 of a run that was interrupted" in capsys.readouterr().out
    assert Follows.searched == [*range(8), *range(7, 12), *range(11, 16), *range(15, 20)]
    assert snapshot(out) == snapshot(tmp_path / "whole")  # nothing left over

    # in a folder with results: detected again, and interrupted after that
    before = snapshot(out)

    def interrupted(*unused: object, **unused_too: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("posemamba.pipeline.lift.lift_input", interrupted)
        assert lifted(*arguments, "--again") == 130
    assert "kept: the joints of 20 frames" in capsys.readouterr().err
    assert {name: content for name, content in snapshot(out).items() if name != FILE} == before
    Follows.searched.clear()
    assert lifted(*arguments, "--again") == 0 and not Follows.searched
    assert snapshot(out) == before


def test_other_options_restart_and_errors(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "new" / "out" / FILE
    stop_at(monkeypatch, 3, PoseMambaError("a broken frame"))
    assert lifted(*arguments) == 2
    assert not (tmp_path / "new").exists()  # what is refused at once leaves nothing
    stop_at(monkeypatch, 5, KeyboardInterrupt())
    assert lifted(*arguments) == 130
    stop_at(monkeypatch, 9, PoseMambaError("a broken frame"))
    assert lifted(*arguments) == 2
    assert "a broken frame (kept: the joints of 9 frames" in capsys.readouterr().err
    for options, begins in ((["--detector", "blazepose-lite"], 0), (["--end", "0.4"], 0), (["--restart"], 0), ([], 9)):
        kept = part.read_bytes()
        Follows.searched.clear()
        stop_at(monkeypatch, begins, KeyboardInterrupt())  # before it has found anything
        assert lifted(*arguments, *options) == 130
        assert Follows.searched == [begins]
        said = capsys.readouterr().out
        assert ("is of another input, or of other options, and not used" in said) == (len(options) == 2)
        assert options == ["--restart"] or part.read_bytes() == kept
        part.write_bytes(kept)
    os.utime(str(arguments[0]), ns=(1, 1))
    Follows.searched.clear()
    assert lifted(*arguments) == 0 and Follows.searched == list(range(20)) and not part.exists()


def test_a_signal_ends_as_an_interruption(
    arguments: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import signal

    def stop(frame: int) -> None:
        if frame == 6:
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Follows, "stop", staticmethod(stop))
    assert cli.main(["lift", *map(str, arguments)]) == 128 + signal.SIGTERM
    assert "interrupted; kept: the joints of 6 frames" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
