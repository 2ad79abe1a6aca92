"""The floors of the package: each import runs downwards, lazy and type-checking imports counted.

``python tests/test_architecture.py`` prints the packages, their imports and what is wrong with them.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
STUDIES = SOURCE.parent / "studies"

# What each package may import besides itself. The order is that of the floors, from the ground upwards.
ALLOWED = {
    "utils": "",
    "poses": "utils",
    "weights": "utils",
    "ops": "utils poses",
    "models": "utils poses weights ops",
    "refine": "utils poses",
    "io": "utils poses refine",
    "quality": "utils poses refine",
    "detect": "utils poses io",
    "show": "utils poses io refine quality",
    "lifting": "utils poses weights ops models",
    "data": "utils poses ops models",
    "pipeline": "utils poses weights ops models io refine quality detect lifting",
    "cluster": "utils poses weights ops models io refine quality detect lifting pipeline",
    "live": "utils poses weights ops models io refine quality detect lifting pipeline",
    "evaluate": "utils poses weights ops models io refine lifting data pipeline",
    "train": "utils poses weights ops models lifting data evaluate",
    "bench": "utils poses weights ops models io detect lifting pipeline",
    "paper": "utils poses weights ops models io lifting data evaluate train show",
    "demo": "utils poses refine models lifting evaluate",
    "app": "utils poses io live",
    "cli": "utils poses weights ops models io refine quality detect show lifting data evaluate train bench paper demo "
    "pipeline cluster live app",
}
WITHOUT_TORCH = (
    "posemamba.poses",
    "posemamba.io.keypoints",
    "posemamba.io.motion",
    "posemamba.refine",
    "posemamba.quality",
)


def modules() -> dict[str, Path]:
    """Dotted names of all modules of the package, and their files."""
    names = {}
    for path in sorted((SOURCE / "posemamba").rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        names[name.removesuffix(".__init__")] = path
    return names


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, module) of each import of a module of the package, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield node.lineno, full if full in known else str(node.module)


@lru_cache
def arrows() -> dict[str, dict[str, str]]:
    """For each module the modules of the package that it imports, and where."""
    known = modules()
    return {
        name: {
            target: f"{path.relative_to(SOURCE.parent)}:{line}"
            for line, target in imports(path, known)
            if target.split(".")[0] == "posemamba" and target != name
        }
        for name, path in known.items()
    }


def package(module: str) -> str:
    """The package on whose floor a module stands; '' for the public API itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else ""


def upward() -> list[str]:
    """Imports that the table does not allow."""
    found = []
    for name, targets in arrows().items():
        for target, place in targets.items():
            home, goal = package(name), package(target)
            if home and goal != home and goal not in ALLOWED[home].split():
                found.append(f"{place}: {name} imports {target}")
    return sorted(found)


def circles() -> list[list[str]]:
    """Groups of modules that import each other, a module's package (its __init__) counted where it imports anything."""
    graph = {name: set(targets) for name, targets in arrows().items()}
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:  # Tarjan's strongly connected components
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in graph.get(name, ()):
            if target not in order:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], order[target])
        if low[name] == order[name]:
            group = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return groups


def levels() -> int:
    """The longest chain of packages that import each other."""
    graph = {home: {package(t) for n, ts in arrows().items() if package(n) == home for t in ts} for home in ALLOWED}

    def depth(home: str) -> int:
        return 1 + max((depth(goal) for goal in graph[home] if goal and goal != home), default=0)

    return max(depth(home) for home in graph)


def test_every_import_runs_downwards() -> None:
    assert not upward()


def test_no_modules_import_each_other() -> None:
    assert not circles()


def test_the_table_names_each_package_and_lets_it_import_lower_ones_only() -> None:
    there = {path.parent.name for path in (SOURCE / "posemamba").glob("*/__init__.py")}
    assert there == set(ALLOWED)
    seen: set[str] = set()
    for name, targets in ALLOWED.items():
        assert set(targets.split()) <= seen, name
        seen.add(name)
    loose = {path.name for path in (SOURCE / "posemamba").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}, "modules live in packages"


def test_nothing_of_the_package_imports_studies() -> None:
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        assert "import studies" not in text and "from studies" not in text, name


def test_loads_without_torch() -> None:
    each = "".join(f"import {name}\nif 'torch' in sys.modules: sys.exit('{name}')\n" for name in WITHOUT_TORCH)
    assert subprocess.run([sys.executable, "-c", f"import sys\n{each}"], stderr=subprocess.PIPE).stderr == b""


def loaded(code: str, folder: Path) -> tuple[list[str], bool]:
    """Run code in a process of its own; the modules of the package that it loads, and whether PyTorch is loaded."""
    told = (
        f"{code}\nimport json, sys\n"
        "ours = sorted(name for name in sys.modules if name.split('.')[0] == 'posemamba')\n"
        "print(json.dumps([ours, 'torch' in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True, cwd=folder)
    ours, torch = json.loads(run.stdout.splitlines()[-1])
    return ours, torch


LIFT = """
import numpy as np
from posemamba import Keypoints2D, get_skeleton, write_keypoints
xy = np.random.default_rng(0).uniform(100, 400, (12, 17, 2))
write_keypoints("k.npz", [Keypoints2D(xy, np.ones((12, 17)), get_skeleton("h36m17"), (640, 480), 25.0)])
"""
COMMAND = "from posemamba import cli\nassert cli.main(['lift', 'k.npz', '-o', 'out', '--no-overlay']) == 0"
MOST_MODULES = 125


@pytest.mark.slow
def test_lifting_a_keypoint_file_loads_few_modules(tmp_path: Path) -> None:
    loaded(LIFT, tmp_path)
    ours, torch = loaded(COMMAND, tmp_path)
    assert torch and len(ours) <= MOST_MODULES, ours
    assert not [name for name in ours if package(name) in ("train", "paper", "bench", "detect", "data", "evaluate")]


if __name__ == "__main__":
    graph = arrows()
    print(f"{len(graph)} modules, {len(ALLOWED)} packages")
    print(
        f"{sum(len({t for t in ts if package(t) != package(n)}) for n, ts in graph.items())} imports between packages"
    )
    print(f"{len(upward())} imports upwards", *upward(), sep="\n  ")
    print(f"{len(circles())} circles", *(" <-> ".join(group) for group in circles()), sep="\n  ")
    if not upward():
        print(f"{levels()} levels")
    with tempfile.TemporaryDirectory() as name:
        loaded(LIFT, Path(name))
        for title, code in (
            ("import posemamba", "import posemamba"),
            ("import posemamba.refine, and its steps", "from posemamba.refine.refinement import refine"),
            ("posemamba lift keypoints.npz", COMMAND),
        ):
            ours, torch = loaded(code, Path(name))
            print(f"{title}: {len(ours)} modules of the package, {'with' if torch else 'without'} PyTorch")
