"""Plugins: how they are found, what a failing one leaves behind, and that no file imports one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from posemamba.train.losses import LOSSES
from posemamba.utils import plugins
from posemamba.utils.errors import PoseMambaError

LOSS = "from posemamba.train import register_loss\n@register_loss('{0}')\ndef loss(pred, target): return pred.mean()\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder; whatever was imported and registered there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_looked", False)
    before = set(sys.modules)
    with plugins.restoring(always=True):
        yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith(("posemamba", "torch", "lightning")):
            del sys.modules[name]


def install(folder: Path, name: str, code: str) -> None:
    """Write a package and the metadata of an installation with an entry point."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {name}\n")


def test_a_module_of_the_working_folder_is_for_the_option_alone(folder):
    (folder / "mine_here.py").write_text(LOSS.format("mine"))
    with pytest.raises(PoseMambaError, match="plugin 'mine_here': no module of this name: not installed; --plugin"):
        plugins.load(["mine_here"])
    plugins.load(["mine_here"], here=True)
    plugins.load(["mine_here"])  # again: nothing is registered twice
    assert "mine" in LOSSES and plugins.loaded() == ["mine_here"]
    assert plugins.told_of(["mine_here"]) == ""
    assert "--plugin other, which is not loaded" in plugins.told_of(["mine_here", "other"])


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import no_such_module_at_all", "cannot be imported .*no_such_module_at_all.*: install what it needs"),
        ("1 / 0", "fails when it is imported .ZeroDivisionError: division by zero"),
        ("def f(:", "fails when it is imported .SyntaxError"),
        (LOSS.format("mpjpe"), "loss 'mpjpe' is registered already"),
        (LOSS.format("a.b"), "loss 'a.b': expected a name"),
    ],
)
def test_a_failing_module_registers_nothing(folder, code, named):
    (folder / "failing.py").write_text(LOSS.format("first") + code)
    for _ in range(2):  # the second time it fails for the same reason
        with pytest.raises(PoseMambaError, match=f"--plugin failing: {named}"):
            plugins.load(["failing"], here=True)
        assert "first" not in LOSSES and plugins.loaded() == []


@pytest.mark.parametrize("name", ["./mine.py", "a b", "", "a..b", "a-b"])
def test_only_names_of_modules(folder, name):
    with pytest.raises(PoseMambaError, match="expected the name of a Python module"):
        plugins.load([name], here=True)


def test_an_installed_package_is_imported_when_an_unknown_name_is_asked_for(folder, monkeypatch):
    install(folder, "installed_one", LOSS.format("installed_loss"))
    monkeypatch.syspath_prepend(str(folder))
    assert "mpjpe" in LOSSES and "installed_one" not in sys.modules
    assert "installed_loss" in LOSSES and plugins.loaded() == ["installed_one"]
    assert plugins.load_installed() is False


def test_an_installed_package_that_fails_is_named(folder, monkeypatch):
    install(folder, "installed_two", "raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(str(folder))
    assert LOSSES["mpjpe"]
    with pytest.raises(PoseMambaError, match=r"installed plugin 'installed_two' .*fails .*broken"):
        LOSSES.get("anything")


@pytest.mark.slow
def test_commands_that_know_all_names_do_not_look_for_plugins():
    code = (
        "import sys\nfrom posemamba.models.registry import load_model\nload_model('posemamba-s27')\n"
        "from posemamba.train.recipe import load_recipe\nload_recipe('mocap')\n"
        "from posemamba.utils import plugins\nassert not plugins._looked"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
