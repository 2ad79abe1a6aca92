"""The public API: what it names, that it loads nothing before it is used, one call from a video to poses."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import posemamba
from fixtures.command_line import keypoints, write_video
from posemamba.io.keypoints import write_keypoints_npz

NAMESPACES = (
    "posemamba",
    "posemamba.train",
    "posemamba.evaluate",
    "posemamba.bench",
    "posemamba.cluster",
    "posemamba.ops",
)


def test_every_name_is_there_and_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = f"""
import importlib, sys
modules = [importlib.import_module(name) for name in {NAMESPACES!r}]
assert not {{"torch", "numpy", "numba", "scipy", "typer"}} & set(sys.modules), sorted(sys.modules)
assert all(set(module.__all__) <= set(dir(module)) for module in modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    for module in map(importlib.import_module, NAMESPACES):
        for name in module.__all__:
            assert getattr(module, name) is not None
            assert getattr(module, name).__doc__ or name == "__version__", name


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse(Path(posemamba.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.asname: f"{node.module}:{alias.name}" if alias.asname != alias.name else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "posemamba.utils.lazy" and node.module != "__future__"
        for alias in node.names
        if node.module != "typing"
    }
    assert imported == posemamba._HOMES


def test_no_public_name_is_hidden_by_a_package_of_that_name() -> None:
    packages = {path.parent.name for path in Path(posemamba.__file__).parent.glob("*/__init__.py")}
    assert not packages & set(posemamba.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'posemamba' has no attribute 'Lifters'"):
        posemamba.Lifters  # noqa: B018


def test_lift_takes_keypoints(tmp_path: Path, weights: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints(20))
    (poses,) = posemamba.lift(tmp_path / "k.npz", weights=weights, device="cpu", start=0.1)
    assert poses.xyz.shape == (15, 17, 3) and np.isfinite(poses.xyz).all()
    lifter = posemamba.Lifter.from_pretrained(weights, device="cpu")
    assert np.array_equal(posemamba.lift(tmp_path / "k.npz", lifter=lifter, start=0.1)[0].xyz, poses.xyz)


def test_lift_refuses_in_one_line(tmp_path: Path, weights: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", keypoints())
    video = write_video(tmp_path / "v.mp4")
    for source, options, message in (
        (tmp_path / "none.mp4", {}, "none.mp4: no such file"),
        (tmp_path / "k.npz", {"detector": "rtmpose"}, "--detector is for videos and pictures"),
        (tmp_path / "k.npz", {"colour": "red"}, "unexpected keyword argument 'colour'"),
        (video, {"person": "best"}, "--person is 'best'"),
        (video, {"start": "1:05"}, "--start is '1:05', expected seconds"),
        (video, {"end": float("nan")}, "--end is nan, expected seconds"),
        (video, {"start": -1}, "--start is -1, expected seconds"),
        (video, {"fps": 30.0}, "--fps is for keypoint files and pictures"),
    ):
        with pytest.raises(posemamba.PoseMambaError, match=message) as refused:
            posemamba.lift(source, weights=weights, **options)
        assert "\n" not in str(refused.value)
