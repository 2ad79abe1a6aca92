"""Some hundred cases of the fuzz harness; ``python -m tests.fuzz`` runs as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.run import run
from tests.fuzz.seeds import make
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import run_case

REFUSED_WHOLE = {
    *("recipe", "lift video", "lift, kept joints", "curves", "export", "lift, overlay"),
    *("read keypoints", "lift keypoints", "convert keypoints", "folders of frames", "start from weights"),
    *("jobs of the app", "requests to the app", "live in the app", "live"),
}
"""Targets that refuse some of the whole files, too: there are no data to train on, nobody is in a picture, an option, a
further file's name, a request or a time does not fit, weights are of another model, a camera ends."""


@pytest.mark.slow
def test_whole_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    monkeypatch.setenv("POSEMAMBA_DATA", str(tmp_path / "none"))
    make(tmp_path / "seeds")
    for name in TARGETS:
        outcomes = [run_case(name, -number, 0, tmp_path / "seeds") for number in range(1, 5)]
        kinds = {outcome.kind for outcome in outcomes}
        assert kinds <= ({"accepted", "refused"} if name in REFUSED_WHOLE else {"accepted"}), (name, outcomes)
        assert "accepted" in kinds or name == "curves", (name, outcomes)


@pytest.mark.slow
def test_damaged_files_of_every_kind_are_refused_in_one_line_or_read() -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    report = run(500, seed=1)
    assert not report.findings, "\n".join(f"{n} {where} [{again}]" for n, where, again in report.places())
    counts = {name: sum(count.values()) for name, count in report.counts.items()}
    assert sum(counts.values()) == 500
    refused = sum(count["refused"] for count in report.counts.values())
    assert refused > 150, "the mutations damage little: most files are read"
