"""The documentation site: pages made at build, links across the repository, and a build without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import posemamba
from scripts import site_pages

ROOT = Path(__file__).resolve().parents[2]


def test_commands_page_has_every_option() -> None:
    page = site_pages.commands_page()
    sections = dict(re.findall(r"^## posemamba (.+?)\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE))
    assert {"lift", "quality", "data check", "show compare"} <= set(sections)
    for option in ("--person", "--height", "--no-viewer", "--plugin"):
        assert re.search(rf"`[^`]*{option}\b", sections["lift"]), option
    assert "--person" not in sections["train"]


def test_api_page_has_every_public_name() -> None:
    page = site_pages.api_page()
    headings = set(re.findall(r"heading: (\S+)", page))
    assert {f"posemamba.{name}" for name in posemamba.__all__ if not name.startswith("__")} <= headings
    assert "posemamba.train.register_loss" in headings and "posemamba.ops.selective_scan" in headings
    assert "::: posemamba.poses.mapping.to_skeleton\n    options:\n      heading: posemamba.convert_skeleton" in page


def test_links_between_docs_and_the_rest() -> None:
    relink = site_pages._relink
    assert relink("../studies/LOG.md", "docs/scan.md", "scan.md") == "project/studies/LOG.md"
    assert relink("../lift.md", "docs/decisions/angles.md", "decisions/angles.md") == "../lift.md"
    assert relink("docs/lift.md", "CHANGELOG.md", "project/CHANGELOG.md") == "../lift.md"
    assert relink("https://a.example/b", "docs/scan.md", "scan.md") == "https://a.example/b"


def test_marks_leave_words_apart_and_tables_whole() -> None:
    page = "It is 40.8<!-- = a b c -->\n([how](x.md)).\n\n<!-- results: a -->\n| a |\n|---|\n| 1<!-- = a b c --> |\n"
    read = "It is 40.8\n([how](x.md)).\n\n| a |\n|---|\n| 1 |\n"
    assert site_pages._without_comments(f"{page}<!-- end -->\n") == read


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra 'docs'")
    pytest.importorskip("mkdocstrings", reason="the extra 'docs'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search(r"^WARNING", done.stderr, flags=re.MULTILINE), done.stderr
    asked = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
    for page in (tmp_path / "site").rglob("*.html"):
        found = [link for link in asked.findall(page.read_text(encoding="utf-8")) if "canonical" not in link]
        assert not found, (page, found)
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style
    shutil.rmtree(tmp_path / "site")
