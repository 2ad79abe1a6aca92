"""DeepLabCut's h5 files, in the layouts that pandas writes: read by h5py, and nothing in them runs."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.hdf5_files import appendable, fixed
from posemamba.io.keypoints import read_people
from posemamba.io.keypoints.pandas_hdf5 import text_tuples
from posemamba.poses.skeletons import COCO17
from posemamba.utils.errors import PoseMambaError

FRAMES = 9
AXES = ("x", "y", "likelihood")


def names(individuals: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The columns' names as DeepLabCut nests them, the parts in an order of their own."""
    parts = COCO17.joints[::-1]
    whose: list[tuple[str, ...]] = [(one,) for one in individuals] or [()]
    return [("DLC_resnet50", *who, part, axis) for who in whose for part in parts for axis in AXES]


def truth(people: int = 1) -> NDArray[np.float64]:
    """(F, P, 17, 3) pixels and likelihoods of people who stand beside each other, in COCO's order."""
    rng = np.random.default_rng(3)
    body = np.stack([rng.uniform(0, 200, 17), rng.uniform(0, 500, 17), rng.uniform(0.5, 1, 17)], -1)
    body[:5, :2] = rng.uniform(0, 10, (5, 2)) + np.array([100, 20])
    made = np.stack([body + np.array([600 * p + 100, 50, 0]) for p in range(people)])
    return np.stack([made + np.array([2 * f, 0, 0]) for f in range(FRAMES)])


@pytest.mark.parametrize("write", [fixed, appendable])
@pytest.mark.parametrize("individuals", [(), ("ann", "bob")])
def test_both_layouts_are_read(tmp_path: Path, write: Any, individuals: tuple[str, ...]) -> None:
    right = truth(len(individuals) or 1)
    right[4, 0, 9, :2] = np.nan
    path = write(tmp_path / "clipDLC_resnet50.h5", names(individuals), right[:, :, ::-1].reshape(FRAMES, -1))
    people = read_people(path, fps=25, image_size=(1280, 720))
    assert len(people) == right.shape[1] and people[0].skeleton is COCO17
    for one, expected in zip(sorted(people, key=lambda p: p.xy[0, 0, 0]), right.swapaxes(0, 1), strict=True):
        np.testing.assert_allclose(one.xy, expected[..., :2], atol=1e-4)
        assert one.confidence[0] == pytest.approx(expected[0, :, 2]) and np.isfinite(one.xy[3]).all()


def test_labels_by_hand_are_numbered_by_their_pictures(tmp_path: Path) -> None:
    right = truth()
    flat = right[:, :, ::-1].reshape(FRAMES, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (one,) = read_people(fixed(tmp_path / "CollectedData.h5", names(), flat, pictures=True), fps=25)
    assert len(one) == 2 * FRAMES - 1
    np.testing.assert_allclose(one.xy[::2], right[:, 0, :, :2], atol=1e-4)


def test_what_is_odd_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5 files need h5py")

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path(tmp_path / "ran").write_text, ("x",))

    flat = truth()[:, :, ::-1].reshape(FRAMES, -1)
    cases = {appendable(tmp_path / "evil.h5", pickle.dumps([Evil()], 0), flat): "more than texts.*not opened"}
    cases[appendable(tmp_path / "few.h5", names()[:9], flat)] = "51 columns with 9 names"
    solid = [(*name[:-1], "z" if name[-1] == "likelihood" else name[-1]) for name in names()]
    cases[fixed(tmp_path / "3d.h5", solid, flat)] = "x, y and z: triangulated 3D points"
    for name in ("linked", "huge", "other", "plain", "cut", "rows"):
        fixed(tmp_path / f"{name}.h5", names(), flat)
    with h5py.File(tmp_path / "linked.h5", "r+") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing/block0_values"] = h5py.ExternalLink("plain.h5", "df_with_missing/block0_values")
    with h5py.File(tmp_path / "huge.h5", "r+") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing"].create_dataset("block0_values", (10**9, 51), "f8", chunks=(1000, 51))
    with h5py.File(tmp_path / "other.h5", "r+") as file:
        del file["df_with_missing"]
        file["tracks"] = np.zeros((2, 2))
    with h5py.File(tmp_path / "rows.h5", "r+") as file:
        del file["df_with_missing/axis1"]
        file["df_with_missing/axis1"] = np.arange(10**6)  # for which there are no numbers
    content = (tmp_path / "cut.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    cases |= {
        tmp_path / "linked.h5": "no array in the file itself",
        tmp_path / "huge.h5": "declares 1000000000 x 51 values, more than a file of its size",
        tmp_path / "other.h5": r"holds 'tracks', expected a table of DeepLabCut.*save_as_csv=True",
        tmp_path / "cut.h5": "cannot be read",
        tmp_path / "rows.h5": "1000000 rows of 51 columns with other numbers",
    }
    for path, message in cases.items():
        with pytest.raises(PoseMambaError, match=message) as error:
            read_people(path)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_without_h5py_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clipDLC.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(PoseMambaError, match=r"h5py is needed .*pip install \"h5py.*; or .*save_as_csv=True"):
        read_people(path)


@pytest.mark.parametrize("protocol", range(5))
def test_names_are_taken_out_of_pickles_of_every_protocol(protocol: int) -> None:
    columns = names(("ann", "b'ø"))
    assert text_tuples(Path("x.h5"), pickle.dumps(columns, protocol)) == columns
    with pytest.raises(PoseMambaError, match="expected texts"):
        text_tuples(Path("x.h5"), pickle.dumps([("a",), "b"], protocol))
