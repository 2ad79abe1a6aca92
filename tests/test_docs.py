"""Compare the pages with the code: commands, options, links, examples, tables of fields."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.utils.plugins import restoring

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "studies").rglob("*.md"))]
RUN = [
    "README.md",
    "docs/python_api.md",
    "docs/refine.md",
    "docs/exports.md",
    "docs/extend.md",
    "docs/keypoint_formats.md",
    "docs/onnx.md",
    "docs/show.md",
    "docs/weights_cards.md",
    *(f"docs/tutorials/{name}.md" for name in ("first_clip", "several_people")),
]
"""Pages whose Python examples are run; `fixtures.documents` makes what they name."""
SLOW = r"posemamba\.(train|evaluate)\b|detect_|write_overlay|lift_many|from_pretrained|person="
"""In examples that take seconds: training, detection, and a bundled model beyond one clip."""


def _text(page: Path) -> str:
    """A page without HTML comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def _blocks(text: str, *languages: str) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        if language in languages:
            yield block


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


# --- commands


def test_two_commands_set_everything_up() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = dict(re.findall(r"<!-- setup: (\w+) -->\n```bash\n(.*?)```", text, flags=re.DOTALL))
    assert set(commands) == {"use", "tests"}
    for command in commands.values():
        assert command.count("\n") == 1, "one line each"
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install '.")
    assert commands["use"].strip().endswith(".venv/bin/posemamba demo")
    assert commands["tests"].strip().endswith(".venv/bin/pytest -n 2 --dist loadfile")


MOST_LINES, MOST_WORDS = 150, 30


def _sentences(text: str) -> Iterator[str]:
    """Sentences of a page's prose: cells of tables and items of lists stand for themselves, links for their words."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", _prose(text))
    text = re.sub(r"^(#+ |\d+\. |- |> )", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^\|.*\|$", lambda row: row[0].replace("|", "\n\n"), text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.:;?!·])\s+", " ".join(paragraph.split()))


def test_readme_is_short_and_plain() -> None:
    text = _text(ROOT / "README.md")
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert not [sentence for sentence in _sentences(text) if len(sentence.split()) > MOST_WORDS]
    assert not re.search(r"\b20\d\d-\d\d\b", _prose(text)), "no dates"
    long = " ".join(["word"] * (MOST_WORDS + 1))
    assert max(len(s.split()) for s in _sentences(f"# A head\n\n- [{long}](x)\n- two. three")) == MOST_WORDS + 1


def test_readme_has_pictures_of_little_weight_that_others_may_use() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", text)
    assert len(pictures) == 4 and sum((ROOT / path).stat().st_size for path in pictures) < 2_000_000
    assert "Sports2D" in text and "Sports2D" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def _posemamba_commands(page: Path) -> list[list[str]]:
    text = _text(page)
    lines = [line for block in _blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(posemamba [^`]+)`", _prose(text))
    commands = []
    for line in lines:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            if words and Path(words[0]).name == "posemamba":
                commands.append(words[1:])
    return commands


def _cli() -> Any:
    """The command line as a group of commands (click's, which typer may hold in a copy of its own)."""
    import typer

    from posemamba import cli

    return typer.main.get_command(cli.make_app())


def test_commands_exist_with_their_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = _cli()
    monkeypatch.chdir(tmp_path)  # with the files that the commands name, as options may want them to exist
    wrong = []
    for page in PAGES:
        for name, *arguments in _posemamba_commands(page):
            line = f"{page.name}: {shlex.join(['posemamba', name, *arguments])}"
            if name not in group.commands:
                wrong.append(f"{line}: no such command")
            elif arguments:  # else a command that a sentence names
                _make_files(arguments)
                try:
                    group.commands[name].make_context(name, list(arguments))
                except Exception as error:
                    wrong.append(f"{line}: {getattr(error, 'message', None) or error!r}")
    assert not wrong, "\n".join(wrong)


def _make_files(arguments: list[str]) -> None:
    for argument in arguments:
        if "." in argument and not argument.startswith("-"):
            Path(argument).parent.mkdir(parents=True, exist_ok=True)
            Path(argument).touch()
        elif argument.startswith("runs/"):
            Path(argument).mkdir(parents=True, exist_ok=True)


def test_every_option_is_documented() -> None:
    text = "".join(_text(page) for page in PAGES)
    for name, command in _cli().commands.items():
        assert re.search(rf"posemamba {name}\b", text), f"posemamba {name} is nowhere documented"
        for option in {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")}:
            assert option == "--help" or re.search(rf"{option}\b", text), f"{name} {option} is not documented"


def test_python_examples_compile_and_import_what_exists() -> None:
    for page in PAGES:
        for block in _blocks(_text(page), "python"):
            compile(block, str(page), "exec")
            for module, names in re.findall(r"^from (posemamba\S*) import (.+)$", block, flags=re.MULTILINE):
                for name in names.split(", "):
                    assert hasattr(importlib.import_module(module), name), f"{page.name}: {module}.{name}"


def _examples() -> Iterator[Any]:
    """Each Python block of the pages in `RUN` that `<!-- not run: reason -->` on the line before does not leave out."""
    for page in RUN:
        text = (ROOT / page).read_text(encoding="utf-8")
        found = re.finditer(r"(<!-- not run: .+ -->\n)?^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        for number, (reason, block) in enumerate((match.groups() for match in found), 1):
            if not reason:
                slow = re.search(SLOW, block)
                marks = [pytest.mark.slow] if slow else []
                yield pytest.param(page, block, id=f"{Path(page).stem}-{number}", marks=marks)


@pytest.mark.parametrize(("page", "block"), _examples())
def test_python_examples_run(page: str, block: str, request: pytest.FixtureRequest) -> None:
    """In a folder that holds the files which examples name, made up, with a detector that finds two walkers."""
    needs = {"lightning": r"posemamba\.train", "matplotlib": r"\.figures|curves", "pandas": "pandas"}
    for module, pattern in needs.items():
        if re.search(pattern, block):
            pytest.importorskip(module)
    pytest.importorskip("av", reason="the folder of the examples holds a video: the extra 'video'")
    with restoring(always=True):
        exec(compile(block, page, "exec"), request.getfixturevalue("given_names"))


# --- files and links


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_resolve() -> None:
    wrong = []
    for page in LINKED:
        for link in re.findall(r"\]\(([^)\s]+)\)", _prose(_text(page))):
            target, _, anchor = link.partition("#")
            path = page.parent / target if target else page
            if not re.match(r"https?:", link) and not (path.exists() and (not anchor or anchor in _anchors(path))):
                wrong.append(f"{page.name}: {link}")
    assert not wrong, "\n".join(wrong)


# --- tables of fields


def test_result_fields_are_documented(tmp_path: Path) -> None:
    from posemamba.io.motion.npz import save_poses_json, save_poses_npz
    from posemamba.poses import Feet2D, Keypoints2D, NetworkPoses, Poses3D
    from posemamba.poses.skeletons import H36M17

    feet = Feet2D(np.zeros((2, 4, 2), np.float32), np.ones((2, 4), np.float32))
    keypoints = Keypoints2D(np.zeros((2, 17, 2)), np.ones((2, 17)), H36M17, (640, 480), 25.0, feet=feet)
    xyz, points = np.random.default_rng(0).random((2, 17, 3), np.float32), np.zeros((2, 4, 3), np.float32)
    seen = np.ones(2, bool)
    network = NetworkPoses(xyz, np.ones((2, 17)), seen, keypoints, expected_error=xyz[..., 0], feet=points)
    poses = Poses3D(xyz, seen, "metre", "camera", True, network, feet=points)
    save_poses_npz(tmp_path / "poses.npz", poses)
    save_poses_json(tmp_path / "poses.json", poses)
    text = _text(ROOT / "docs/lift.md")
    content = json.loads((tmp_path / "poses.json").read_text())
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        fields = {*file.files, *content, *content["frames"][0]}
    assert not [field for field in sorted(fields) if f"`{field}`" not in text]


def test_recipe_fields_are_documented() -> None:
    from posemamba.train.recipe import DATA, Recipe

    text = _text(ROOT / "docs/train.md")
    fields = [*Recipe.model_fields, *(field for data in DATA.values() for field in data.model_fields)]
    assert not [field for field in fields if f"`{field}`" not in text]


def test_counts_of_the_models_are_those_in_the_docs() -> None:
    from posemamba.models.counting import count_preset

    text = _text(ROOT / "docs/model.md")
    for size in "sblx":
        c = count_preset(size)
        numbers = (c.parameters, c.paper_parameters, c.paper_macs, c.macs, c.scan_flops)
        assert " | ".join(f"{n:,}" for n in numbers) in text, size


def test_formats_and_skeletons_are_documented() -> None:
    from posemamba.io.keypoints import known_formats
    from posemamba.poses.skeletons import SKELETONS

    text = _text(ROOT / "docs/keypoint_formats.md")
    assert not [f.name for f in known_formats() if f"## {f.name}\n" not in text]
    assert not [name for name in SKELETONS if f"`{name}`" not in text]


# --- citation


def test_citation_names_the_paper_before_the_software() -> None:
    import yaml

    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert list(content).index("preferred-citation") < list(content).index("title")
    paper = content["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Huang", "Liu", "Xian", "Qiu"]
    assert paper["doi"] in (ROOT / "README.md").read_text(encoding="utf-8")
