"""Check that every dependency has a wheel for each supported Python and system.

``python scripts/check_wheels.py`` asks pip for the wheels of the package's dependencies, of its extras and of all that
these need, without installing anything. It prints a table for each system and exits with 1 where a wheel is missing.
Needs ``packaging`` and, before Python 3.11, ``tomli``: the extra `test` brings both.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
GLIBC = 28
"""The minor version of the oldest glibc 2 that is supported, PyTorch's."""


@dataclass(frozen=True)
class System:
    """An operating system and processor: its wheel tags and the values of its environment markers."""

    tags: tuple[str, ...]
    markers: dict[str, str]


def _linux(machine: str) -> System:
    markers = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine, "os_name": "posix"}
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
    return System((*tags, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"), markers)


def _macos(machine: str) -> System:
    markers = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": machine, "os_name": "posix"}
    return System((f"macosx_14_0_{machine}",), markers)


SYSTEMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "macos-arm64": _macos("arm64"),
    "windows-x86_64": System(
        ("win_amd64",),
        {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64", "os_name": "nt"},
    ),
}
"""The supported systems."""

OTHER_SYSTEMS = {"macos-x86_64": _macos("x86_64")}
"""Systems that are looked at on request: PyTorch has no wheels there since 2.3."""


@dataclass
class Wanted:
    """All that was asked of one package so far."""

    versions: SpecifierSet = field(default_factory=SpecifierSet)
    extras: set[str] = field(default_factory=set)
    direct: bool = False

    def add(self, requirement: Requirement) -> bool:
        """Add a requirement; returns whether it changed anything."""
        before = (str(self.versions), len(self.extras))
        self.versions &= requirement.specifier
        self.extras |= requirement.extras
        return before != (str(self.versions), len(self.extras))


def direct_requirements(project: dict, extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield the requirements of the package and of its extras, extras of extras resolved."""
    own = canonicalize_name(project["name"])
    waiting = [Requirement(line) for line in project["dependencies"]]
    waiting += [Requirement(line) for name in extras for line in project["optional-dependencies"][name]]
    while waiting:
        requirement = waiting.pop(0)
        if canonicalize_name(requirement.name) != own:
            yield requirement
            continue
        for name in sorted(requirement.extras):
            waiting += [Requirement(line) for line in project["optional-dependencies"][name]]


def environment(python: str, system: System) -> dict[str, str]:
    """Make the environment markers of CPython on a system."""
    return {
        **system.markers,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
    }


def needed(requirement: Requirement, markers: dict[str, str], extras: Iterable[str] = ()) -> bool:
    """Check whether a requirement's marker holds, with one of the extras or none."""
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras))


def look_up(lines: list[str], python: str, system: System) -> tuple[list[dict], list[str]]:
    """Ask pip for the wheels of requirements, none of their dependencies.

    Returns:
        pip's entries of the wheels found, and the names of packages without one.

    Raises:
        SystemExit: pip fails for another reason than a missing wheel, such as no network.
    """
    lines, missing = list(lines), []
    while lines:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--dry-run",
                "--no-deps",
                "--only-binary=:all:",
            ]
            command += ["--ignore-installed", "--disable-pip-version-check", "--report", str(report)]
            command += ["--target", str(Path(folder) / "target"), "--python-version", python, "--implementation", "cp"]
            for tag in system.tags:
                command += ["--platform", tag]
            run = subprocess.run([*command, *lines], capture_output=True, text=True)
            if run.returncode == 0:
                return json.loads(report.read_text(encoding="utf-8"))["install"], missing
        # the second is pip's answer where a file of constraints names the package
        found = re.search(r"(?:No matching distribution found for|Cannot install) ([A-Za-z0-9._-]+)", run.stderr)
        if found is None:
            raise SystemExit(f"pip failed:\n{run.stderr.strip()}")
        name = canonicalize_name(found[1])
        missing.append(name)
        lines = [line for line in lines if canonicalize_name(Requirement(line).name) != name]
    return [], missing


def resolve(direct: list[Requirement], python: str, system: System) -> tuple[dict[str, str], set[str], set[str]]:
    """Find a wheel for each package that is needed.

    The newest version that all requirements seen so far allow is taken; a package is looked up again when a further
    requirement narrows it.

    Returns:
        versions by name, the names of direct dependencies, and the names without a wheel.
    """
    markers = environment(python, system)
    wanted: dict[str, Wanted] = {}
    versions: dict[str, str] = {}
    missing: set[str] = set()
    todo: set[str] = set()

    def ask(requirement: Requirement) -> str:
        name = canonicalize_name(requirement.name)
        new = name not in wanted
        if wanted.setdefault(name, Wanted()).add(requirement) or new:
            todo.add(name)
        return name

    for requirement in direct:
        if needed(requirement, markers):
            wanted[ask(requirement)].direct = True
    while todo:
        lines = [f"{name}{wanted[name].versions}" for name in sorted(todo)]
        found, without = look_up(lines, python, system)
        todo.clear()
        missing |= set(without)
        for entry in found:
            about = entry["metadata"]
            name = canonicalize_name(about["name"])
            versions[name] = about["version"]
            for line in about.get("requires_dist") or ():
                requirement = Requirement(line)
                if needed(requirement, markers, wanted[name].extras):
                    ask(requirement)
    return versions, {name for name, want in wanted.items() if want.direct}, missing


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check that every dependency has a wheel on each Python and system.")
    known = {**SYSTEMS, **OTHER_SYSTEMS}
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="VERSION", help=f"default: {' '.join(PYTHONS)}")
    parser.add_argument(
        "--system", nargs="+", default=list(SYSTEMS), choices=list(known), help="default: all supported"
    )
    parser.add_argument("--extra", nargs="+", metavar="NAME", help="default: all of them")
    parser.add_argument("--jobs", type=int, default=8, help="calls of pip at a time, which wait for the index (8)")
    options = parser.parse_args(arguments)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = list(direct_requirements(project, options.extra or project["optional-dependencies"]))

    with ThreadPoolExecutor(options.jobs) as pool:
        answers = {
            (name, python): pool.submit(resolve, direct, python, known[name])
            for name in options.system
            for python in options.python
        }
    lacking = []
    for name in options.system:
        found = {python: answers[name, python].result() for python in options.python}
        rows = sorted(set().union(*(names | without for _, names, without in found.values())))
        table = [[name, *options.python]]
        for row in rows:
            cells = []
            for python, (versions, _, without) in found.items():
                if row in without:
                    lacking.append(f"{row} on Python {python}, {name}")
                cells.append("NO WHEEL" if row in without else versions.get(row, "-"))
            table.append([row, *cells])
        others = [str(len(versions) - len(names & set(versions))) for versions, names, _ in found.values()]
        table.append(["and others", *others])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)
        print(flush=True)
    if lacking:
        print("\n".join(f"no wheel: {line}" for line in lacking))
        return 1
    print("every dependency has a wheel")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
