"""The race of pipelines on a video: turns, figures, and reasons in place of figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from posemamba import cli
from posemamba.bench.video import race as racing
from posemamba.bench.video.pipelines import LOOP, PIPELINES, Pipeline, choose
from posemamba.bench.video.worker import PREPARE, RUN
from posemamba.utils.errors import PoseMambaError


@dataclass(frozen=True)
class Code(Pipeline):
    """A pipeline that is a line of Python."""

    code: str = ""

    def arguments(self, video: Path, out: Path, detector: str) -> list[str]:
        return [sys.executable, "-c", self.code]


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for a video of 24 frames."""
    original = racing._run

    def run(words: Sequence[str], folder: Path, limit_s: float | None) -> Any:
        return racing._Done(0.0, frames=24) if PREPARE in words else original(words, folder, limit_s)

    monkeypatch.setattr(racing, "_run", run)
    return tmp_path / "clip.mp4"


@pytest.mark.slow
def test_pipelines_run_in_turns_and_failures_have_their_reason(video: Path, tmp_path: Path) -> None:
    order = tmp_path / "order"
    note = "open({!r}, 'a').write({!r});".format
    taking_part = [
        Code(LOOP, "a loop", code=note(str(order), "a") + "import time; time.sleep(0.2)"),
        Code(
            "large",
            "much memory",
            code=note(str(order), "b") + "x = bytearray(300_000_000); import time; time.sleep(0.5)",
        ),
        Code("wrong", "fails", code="import sys; sys.exit('error: no such thing')"),
        Code("offline", "lacks a download", code="import sys; print('no network', file=sys.stderr); sys.exit(3)"),
        Code("absent", "lacks a package", package="no_such_package_at_all"),
    ]
    report = racing.race(video, taking_part, rounds=2, json_file=tmp_path / "report.json")
    rows = {row.name: row for row in report.rows}
    assert order.read_text() == "abba"
    assert [rows[name].status for name in rows] == ["ok", "ok", "failed", "skipped", "skipped"]
    assert rows["wrong"].note == "no such thing" and rows["offline"].note == "no network"
    assert "no_such_package_at_all is not installed" in rows["absent"].note
    large, loop = rows["large"], rows[LOOP]
    assert len(large.seconds) == 2 and min(large.seconds) >= 0.5 and loop.times_the_loop == 1
    assert large.times_the_loop == pytest.approx(large.median_s / loop.median_s)  # type: ignore[operator]
    assert loop.frames_per_second == pytest.approx(24 / loop.median_s)  # type: ignore[operator]
    if large.peak_bytes is not None and loop.peak_bytes is not None:
        assert large.peak_bytes - loop.peak_bytes > 250_000_000
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept["finished"] and kept["rows"][1]["frames_per_second"] == pytest.approx(24 / large.median_s)  # type: ignore[operator]
    table = report.table().splitlines()
    assert table[0].startswith("clip.mp4: 24 frames") and "a loop" in table[4] and "failed: no such thing" in table[6]


def test_a_pipeline_past_its_limit_is_ended(video: Path) -> None:
    report = racing.race(video, [Code("slow", "", code="import time; time.sleep(600)")], rounds=2, limit_s=0.5)
    assert report.rows[0].status == "failed" and "over the limit of 0.5 s" in report.rows[0].note


def test_every_pipeline_has_its_process() -> None:
    for one in PIPELINES:
        words = one.arguments(Path("v.mp4"), Path("out"), "lite")
        assert ("lift" in words) == (one.command is not None) and "v.mp4" in words and "lite" in words
        assert one.command is not None or one.name in RUN
    assert [one.name for one in choose(["posemamba", LOOP])] == [LOOP, "posemamba"]
    with pytest.raises(PoseMambaError, match="unknown part 'blender' of video: known are loop, "):
        choose(["blender"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "takes one video, and 0 are given"),
        (("a.mp4", "b.mp4"), "takes one video, and 2 are given"),
        (("missing.mp4",), "no such file"),
        (("missing.mp4", "--task", "train"), "leave out --task"),
        (("missing.mp4", "--device", "cuda"), "leave out --device"),
        (("missing.mp4", "--detector", "rtmpose"), "expected lite, full or heavy"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(racing, "race", None)
    assert cli.main(["bench", "--preset", "video", *words]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["bench", "s", "--detector", "lite"]) == 2
    assert "--preset video" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_that_is_no_video_is_an_error_in_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(PoseMambaError, match=r"broken\.mp4: "):
        racing.race(broken, choose([LOOP]))
