"""The package of docs/extend.md, outside of the repository: it trains, is scored and lifts through the commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fixtures.command_line import keypoints
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.train.recipe import DataOptions, Recipe, load_recipe, register_data
from posemamba.utils import plugins
from posemamba.utils.errors import PoseMambaError

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"
POSEMAMBA = ["--set", "model.kind=posemamba", "--set", "model.options.scan_order=arms_first"]
SMALL = ["--set", "model.options.width=64", "--set", "model.options.depth=1", "--set", "epochs=1"]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def package(tmp_path):
    """A working folder with the package and the recipe of the page."""
    code = "\n".join(_blocks("python"))
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 70
    (tmp_path / "my_package.py").write_text(code)
    (tmp_path / "swings.yaml").write_text(_blocks("yaml")[0])
    write_keypoints_npz(tmp_path / "keypoints.npz", keypoints())
    return tmp_path


def _run(folder: Path, *arguments: str, code: int = 0) -> str:
    """Call a command in the folder, which is not on Python's path; what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    paths = [p for p in sys.path if p.endswith("src")]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    call = "import sys; sys.path = [p for p in sys.path if p]; from posemamba import cli; sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", call, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.slow
def test_a_package_trains_scores_and_lifts_through_the_commands(package):
    pytest.importorskip("lightning")
    own = ["--plugin", "my_package"]
    train = ["train", "swings.yaml", "--device", "cpu", *own]
    _run(package, *train, "-o", "half", "--set", "epochs=2")
    _run(package, *train, "-o", "half")  # on from step 16
    out = _run(package, *train, "-o", "whole", "--export", "swings.safetensors")
    found = re.search(r"step 40 of 40, finished; P1 test ([\d.]+) mm", out)
    assert found
    halves, whole = (torch.load(package / run / "weights.pt")["state_dict"] for run in ("half", "whole"))
    assert all(torch.equal(halves[name], whole[name]) for name in whole)

    _run(package, "evaluate", "swings.safetensors", "swings", "--json", "s.json", "--device", "cpu", *own)
    scores = json.loads((package / "s.json").read_text())["scores"]
    assert scores["P1 mm"] == pytest.approx(float(found[1]), abs=0.06) and scores["P1 mm"] < 250
    _run(package, "lift", "keypoints.npz", "--weights", "swings.safetensors", "-o", "out", "--no-overlay", *own)
    assert (package / "out" / "poses.npz").exists()
    assert "optimizer: sgd" in (card := _run(package, "info", "--weights", "swings.safetensors", *own))
    assert "data: Swings" in card or "Swinging bodies, computed." in card

    said = _run(package, "info", "--weights", "swings.safetensors", code=2)
    assert "weights of a 'frame_by_frame', known are posemamba, " in said and "with --plugin my_package" in said
    said = _run(package, "export", "whole", "-o", "again.safetensors", code=2)
    assert "unknown architecture frame_by_frame" in said and "with --plugin my_package, which is not loaded" in said
    said = _run(package, "train", "swings.yaml", "-o", "none", code=2)
    assert "unknown loss farthest_joint; known: mpjpe" in said and not (package / "none").exists()


@pytest.mark.slow
def test_a_posemamba_with_an_order_of_a_package_named_in_the_recipe(package):
    pytest.importorskip("lightning")
    with (package / "swings.yaml").open("a") as recipe:
        recipe.write("plugins: [my_package]\n")
    train = ["train", "swings.yaml", "-o", "run", "--device", "cpu", *POSEMAMBA, *SMALL]
    said = _run(package, *train, code=2)  # the working folder is looked at for the option alone
    assert "swings.yaml: plugins: plugin 'my_package': no module of this name: not installed; --plugin" in said
    own = ["--plugin", "my_package"]
    _run(package, *train, "--set", "optimizer_options.momentum=0.5", "--fast-dev-run", *own)
    _run(package, *train, "--set", "optimizer_options.momentum=0.5", "--export", "w.safetensors", *own)
    assert "P1 mm" in _run(package, "evaluate", "w.safetensors", "swings", "--device", "cpu", *own)
    said = _run(package, "lift", "keypoints.npz", "--weights", "w.safetensors", "-o", "out", code=2)
    assert "unknown scan order arms_first; known: global_local" in said and "--plugin my_package" in said

    # installed, with an entry point, it is found without the option
    installed = package / "src"
    (info := installed / "my_package-1.0.dist-info").mkdir(parents=True)
    (package / "my_package.py").rename(installed / "my_package.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[posemamba.plugins]\nmine = my_package\n")
    sys.path.append(str(installed))
    try:
        assert "P1 mm" in _run(package, "evaluate", "w.safetensors", "swings", "--device", "cpu")
        assert "P1 mm" in _run(package, "evaluate", "w.safetensors", "swings", "--device", "cpu")
        _run(package, "lift", "keypoints.npz", "--weights", "w.safetensors", "-o", "out", "--no-overlay")
    finally:
        sys.path.remove(str(installed))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("data: {kind: own, sides: many}", "data: sides: Input should be a valid integer"),
        ("data: {kind: own, other: 1}", "data: other: Extra inputs are not permitted"),
        ("data: {kind: own, frames: 300}", "data.frames is 300, the model takes 243 at most"),
        ("data: {kind: own}\nperson_size: 0.2", "person_size are for mocap"),
        (
            "data: {kind: missing}",
            "unknown data set missing; known: mocap, human36m, videopose3d, mpi_inf_3dhp, motionbert_slices, own",
        ),
        ("data: 3", "data: expected fields and values of a data set"),
        ("optimizer: lion", "optimizer: unknown optimizer lion; known: adamw, muon"),
        ("optimizer_options: {momentum: 1}", "optimizer_options are for registered optimizers"),
        ("losses: {none: 1}", "losses: unknown loss none; known: mpjpe, n_mpjpe"),
        ("model: {kind: none}", "model.kind: unknown architecture none; known: posemamba, motion"),
        ("plugins: [../code.py]", "plugins: plugin '../code.py': expected the name of a Python module"),
        ("plugins: [no_such_package]", "plugins: plugin 'no_such_package': no module of this name"),
        ("plugins: 3", "plugins: "),
    ],
)
def test_wrong_recipes_with_registered_names(tmp_path, fields, named):
    (tmp_path / "recipe.yaml").write_text(fields)
    with plugins.restoring(always=True):

        @register_data("own")
        class Own(DataOptions):
            sides: int = 3

        with pytest.raises(PoseMambaError) as error:
            load_recipe(tmp_path / "recipe.yaml")
    assert named in str(error.value)


def test_fields_of_a_registered_data_set_are_kept_and_set(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data: {kind: own, sides: 4}\nloss_unit: body")
    with plugins.restoring(always=True):

        @register_data("own")
        class Own(DataOptions):
            sides: int = 3

        recipe = load_recipe(tmp_path / "recipe.yaml", settings=["data.sides=5"])
        assert isinstance(recipe.data, Own)
        kept = recipe.model_dump(mode="json")
        assert kept["data"] == {"kind": "own", "directory": None, "frames": 81, "sides": 5}
        assert Recipe.model_validate(kept) == recipe
        with pytest.raises(PoseMambaError, match="data set 'own' is registered already"):
            register_data("own")(Own)
