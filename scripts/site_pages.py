"""Pages that the documentation site has beyond those of docs/: a hook of MkDocs.

The site also holds the project's own pages (change log, contributing, studies) below ``project/``, with links between
them and docs/ rewritten, and two pages of reference that are made at each build: the commands from the command line's
own declarations, the public API from the names of `posemamba` and its namespaces for researchers. Pages of docs/ that
mkdocs.yml does not list are put into its navigation.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "project/"
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "studies/**/*.md")
"""Markdown outside docs/ that becomes a page."""
LINKED = (
    "LICENSE",
    "NOTICE",
    "CITATION.cff",
    "src/posemamba/train/recipes/*.yaml",
    "examples/*",
    "scripts/*",
    "studies/**/*.py",
    "studies/**/*.sh",
    "benchmarks/results/*.json",
)
"""Other files outside docs/ that pages may link to: copied as they are."""
COMMENT = re.compile(r"^<!--(?:(?!-->).)*-->\n|<!--.*?-->", re.DOTALL | re.MULTILINE)
"""A comment; one on lines of its own goes with the end of its line."""
NAMESPACES = ("posemamba.train", "posemamba.evaluate", "posemamba.bench", "posemamba.ops")
GROUPS = {
    "Lift": ("lift", "Lifter", "detect_people", "choose_people", "read_keypoints", "read_people", "write_keypoints"),
    "Results": ("Poses3D", "Keypoints2D", "NetworkPoses", "Skeleton", "Clip", "Lens", "VirtualCamera"),
    "Refine and measure": ("refine_poses", "RefineOptions", "to_metres", "joint_angles", "angle_errors", "AngleError"),
    "Trust": ("judge", "Trust", "measure_quality", "judge_quality"),
    "Write": ("save_poses", "read_poses", "write_motion", "write_overlay", "write_viewer"),
    "Models": ("PoseMamba", "PoseMambaConfig", "load_model", "bundled_weights", "export_onnx"),
}
"""Headings of the API's page; public names that stand in none come under Others."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that docs/ does not hold, and list in the navigation what it leaves out."""
    from mkdocs.structure.files import File

    sys.path.insert(0, str(ROOT / "src"))
    for pattern in (*OUTSIDE, *LINKED):
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                uri = PROJECT + path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, uri, abs_src_path=str(path)))
    for uri, content in (("reference/commands.md", commands_page()), ("reference/api.md", api_page())):
        files.remove(files.get_file_from_path(uri))  # the one for readers of the repository
        files.append(File.generated(config, uri, content=content))
    _list_the_rest(files, config)
    return files


def on_page_markdown(markdown: str, page: Any, **unused: Any) -> str:
    """Turn links between docs/ and the rest of the repository into links of the site."""
    home = page.file.src_uri
    markdown = _without_comments(markdown)
    inside = home.removeprefix(PROJECT) if home.startswith(PROJECT) else f"docs/{home}"
    if home.startswith("reference/"):
        return markdown
    return re.sub(r"(\]\()([^)\s#]+)", lambda match: match[1] + _relink(match[2], inside, home), markdown)


def _without_comments(markdown: str) -> str:
    """Drop comments outside of code: marks of generated tables would keep the table behind them from being one."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else COMMENT.sub("", part) for part in parts)


def _relink(link: str, source: str, page: str) -> str:
    """The link of the site that stands for a link of the repository.

    Args:
        link: as written, without its anchor.
        source: path of the page that holds it, from the repository's root.
        page: address of that page in the site's sources.
    """
    if re.match(r"\w+:", link):
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if (ROOT / target).is_dir():
        target = posixpath.join(target, "README.md")
    target = target.removeprefix("docs/") if target.startswith("docs/") else PROJECT + target
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _list_the_rest(files: Any, config: Any) -> None:
    listed = set(_pages(config.nav))
    rest = [f.src_uri for f in files.documentation_pages() if f.src_uri not in listed and f.src_uri != "index.md"]
    decisions = [uri for uri in rest if uri.startswith("decisions/")]
    studies = [uri for uri in rest if uri.startswith(f"{PROJECT}studies/")]
    howto = sorted(set(rest) - set(decisions) - set(studies))
    _section(config.nav, "Explanation", "Decisions").extend(decisions)
    _section(config.nav, "Results").extend(studies)
    _section(config.nav, "How-to").extend(howto)
    config.not_in_nav = None


def _pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [uri for child in (entry.values() if isinstance(entry, dict) else entry) for uri in _pages(child)]


def _section(nav: list[Any], *names: str) -> list[Any]:
    for name in names:
        nav = next(entry[name] for entry in nav if isinstance(entry, dict) and name in entry)
    return nav


# --- commands


def commands_page() -> str:
    """Write the page of all commands from what ``posemamba COMMAND --help`` shows."""
    import typer

    from posemamba import cli

    group = typer.main.get_command(cli.make_app())
    commands = list(_commands(group, "posemamba"))
    rows = [f"| [`{name}`](#{_anchor(name)}) | {_first(command)} |" for name, command in commands]
    parts = [
        "# Commands\n\nMade from each command's own `--help`. How to use them is in the [guides](../lift.md).\n",
        "| command | what it does |\n|---|---|\n" + "\n".join(rows) + "\n",
        *(_command(name, command) for name, command in commands),
    ]
    return "\n".join(parts)


def _commands(group: Any, name: str) -> Any:
    for short, command in group.commands.items():
        full = f"{name} {short}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
        else:
            yield full, command


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _plain(text: str | None) -> str:
    """Help text on one line of Markdown: no lines, no rich markup, nothing that breaks a table."""
    text = " ".join((text or "").split())
    text = re.sub(r"``(.+?)``", r"`\1`", text).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"\bdocs/(\w+)\.md", r"[\1](../\1.md)", text)


def _first(command: Any) -> str:
    return _plain((command.help or "").split("\n\n")[0])


def _command(name: str, command: Any) -> str:
    with command.make_context(name, [], resilient_parsing=True) as context:
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
        text = "\n\n".join(_plain(part) for part in (command.help or "").split("\n\n"))
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        parts = [f"## {name}\n", f"```text\n{usage}\n```\n", text, ""]
        if arguments:
            records = [p.get_help_record(context) or (p.name, "") for p in arguments]
            parts += [
                "| Arguments | |",
                "|---|---|",
                *(f"| `{names}` | {_plain(told)} |" for names, told in records),
                "",
            ]
        panels: dict[str, list[str]] = {}
        for parameter in options:
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            if record := parameter.get_help_record(context):
                panels.setdefault(panel.split(" (docs/")[0], []).append(f"| `{record[0]}` | {_plain(record[1])} |")
        for panel, rows in panels.items():
            parts += [f"| {panel} | |", "|---|---|", *rows, ""]
    return "\n".join(parts)


# --- API


def api_page() -> str:
    """Write the page of all public names, for mkdocstrings to fill from their docstrings."""
    names = [name for name in importlib.import_module("posemamba").__all__ if not name.startswith("__")]
    grouped = {name for group in GROUPS.values() for name in group}
    groups = {**GROUPS, "Others": tuple(name for name in names if name not in grouped)}
    parts = [
        "# API\n\nEvery public name, from its docstring. [Worked examples](../python_api.md) are the better start.\n\n"
        "Shapes: F frames, J joints. Coordinates: x right, y down, z away from the camera, if nothing else is said.\n"
    ]
    for title, group in groups.items():
        there = [name for name in group if name in names]
        parts += [f"## {title}\n", *(_entry("posemamba", name) for name in there)] if there else []
    for space in NAMESPACES:
        parts += [f"## {space}\n", *(_entry(space, name) for name in sorted(importlib.import_module(space).__all__))]
    return "\n".join(parts)


def _entry(space: str, name: str) -> str:
    """An entry under its public name, filled from the module where the name is defined."""
    home = importlib.import_module(space)._HOMES[name] if space != "posemamba.ops" else None
    value = getattr(importlib.import_module(space), name)
    module, _, inner = (home or value.__module__).partition(":")
    module = value.__module__ if getattr(value, "__module__", "").startswith("posemamba.") else module
    where = f"{module}.{getattr(value, '__name__', inner or name)}"
    return f"::: {where}\n    options:\n      heading: {space}.{name}\n      toc_label: {name}\n"
