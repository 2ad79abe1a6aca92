"""The summary of several inputs, read back as a table and as a page."""

from __future__ import annotations

import csv
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from fixtures.browsers.base import Browser
from fixtures.command_line import keypoints, lifted, refused
from posemamba.cli.lift.summary import PAGE, TABLE
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz
from posemamba.poses.skeletons import LIMBS

NASTY = "<img src=x onerror=alert(1)> & 'co' 50%#.npz"


def clip(path: Path, frames: int = 30, legs: bool = True) -> Path:
    made = keypoints(frames)
    if not legs:
        lost = [j for leg in ("left leg", "right leg") for j in LIMBS[leg][1:]]
        made.confidence[:, lost], made.xy[:, lost] = 0, np.nan
    write_keypoints_npz(path, made)
    return path


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


class Page(HTMLParser):
    """The links and the text of the rows of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append("")
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")
        assert not any((value or "").startswith("http") for _, value in attrs)

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += data + " "


@pytest.mark.skipif(os.name == "nt", reason="names that Windows refuses")
def test_a_summary_of_good_bad_and_failed_clips(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = clip(tmp_path / "good.npz"), clip(tmp_path / NASTY, legs=False)
    formula, broken = clip(tmp_path / "=1+1.npz"), tmp_path / "broken.npz"
    broken.write_bytes(b"PK and no more")
    out, options = tmp_path / "out", ["--weights", weights, "--no-overlay", "-o", tmp_path / "out"]
    assert lifted(good, bad, broken, formula, *options) == 1
    said = capsys.readouterr().out
    assert str(out / PAGE) in said and str(out / TABLE) in said
    rows = table(out)
    assert list(rows) == ["good.npz", NASTY, "broken.npz", "'=1+1.npz"]  # a spreadsheet would compute a formula
    for name in ("good.npz", NASTY):
        row = rows[name]
        poses = load_poses_npz(out / row["results"] / "poses.npz")
        assert poses.trust is not None and (row["verdict"], row["reason"]) == (poses.trust.word, poses.trust.sentence)
        assert f"Quality: {poses.trust.line}" in said  # the terminal, the files and the summary agree
        assert (row["person"], row["frames"], row["seen_percent"], row["error"]) == ("1", "30", "100", "")
        assert (out / unquote(row["page"])).is_file() and row["overlay"] == ""
    assert rows[NASTY]["verdict"] == "do not trust" and "legs" in rows[NASTY]["reason"]
    assert rows["broken.npz"]["verdict"] == "failed" and "damaged" in rows["broken.npz"]["error"]
    page = Page(out / PAGE)
    assert "img" not in page.tags and len(page.rows) == 5 and NASTY in page.rows[2] and "failed" in page.rows[3]
    assert page.links and all((out / unquote(link)).is_file() for link in page.links)
    # a repeated call brings it up to date: what is done stays in it, what is mended takes the place of its error
    shutil.copy(good, broken)
    bad.unlink()
    assert lifted(good, broken, *options) == 0
    assert "done already" in capsys.readouterr().out
    again = table(out)
    assert again["broken.npz"]["verdict"] == again["good.npz"]["verdict"] == rows["good.npz"]["verdict"]
    assert len(again) == 4 and {row["verdict"] for row in again.values()} <= {"use with care", "do not trust", "good"}


def test_a_summary_of_results_of_an_earlier_version(weights: Path, tmp_path: Path) -> None:
    """Which hold no verdict: they are judged again."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
    sources, out = [clip(tmp_path / folder / "same.npz") for folder in "ab"], tmp_path / "out"
    options = ["--weights", weights, "--no-overlay", "--no-viewer", "-o", out]
    assert lifted(*sources, *options) == 0
    before = table(out)
    assert list(before) == [str(source) for source in sources]
    path = out / "a_same_npz" / "poses.npz"
    with np.load(path) as file:
        arrays = {name: array for name, array in file.items() if name != "trust_level"}
    header = json.loads(str(arrays["header"]))
    del header["trust"]
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})
    assert lifted(*sources, *options) == 0
    assert table(out) == before
    nothing = {name: arrays[name][:0] for name in ("seen", "times")}
    np.savez(path, **{**arrays, **nothing, "header": np.array(json.dumps(header))})
    assert lifted(*sources, *options) == 0
    assert "has no frames" in table(out)[str(sources[0])]["error"]


def test_files_of_the_users_and_calls_without_results(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, out = [clip(tmp_path / f"{name}.npz") for name in "ab"], tmp_path / "out"
    options = ["--weights", weights, "--no-overlay", "--no-viewer", "-o", out]
    assert lifted(tmp_path / "no.npz", tmp_path / "nothing.npz", *options) == 2
    assert not out.exists()
    out.mkdir()
    (out / TABLE).write_text("mine")
    capsys.readouterr()
    assert lifted(*sources, *options) == 0
    assert "is no summary of posemamba lift, and is kept" in capsys.readouterr().err
    assert (out / TABLE).read_text() == "mine" and not (out / PAGE).exists()
    assert lifted(sources[0], *options[:-1], tmp_path / "one") == 0
    assert not (tmp_path / "one" / PAGE).exists()
    capsys.readouterr()
    assert "no weights" in refused(
        capsys, "lift", *sources, "-o", tmp_path / "two", "--weights", tmp_path / "no weights"
    )
    assert not (tmp_path / "two").exists()


def test_the_page_is_sorted_in_a_browser(weights: Path, tmp_path: Path, browser: Browser) -> None:
    sources, out = [clip(tmp_path / "b.npz"), clip(tmp_path / "a.npz", 40, legs=False)], tmp_path / "out"
    assert lifted(*sources, "--weights", weights, "--no-overlay", "--no-viewer", "-o", out) == 0
    browser.go((out / PAGE).as_uri())
    browser.until("document.querySelector('th button') !== null")
    names = "[...document.querySelectorAll('.name')].map(name => name.textContent).join()"
    assert browser.value(names) == "b.npz,a.npz"
    for head, order in (("Clip", "a.npz,b.npz"), ("Frames", "b.npz,a.npz"), ("Frames", "a.npz,b.npz")):
        browser.value(f"[...document.querySelectorAll('th button')].find(b => b.textContent === '{head}').click()")
        assert browser.value(names) == order
    assert not browser.complaints() and not [r for r in browser.requests() if not r.startswith(("file:", "data:"))]
