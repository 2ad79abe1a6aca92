"""Pickles from the internet: what is read, and what is refused by name."""

from __future__ import annotations

import collections
import datetime
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.unpickle import load_npz_object, load_pickle

ARRAYS: dict[str, Any] = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "big end first": np.arange(6, dtype=">f8").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "bool": np.array([True, False]),
    "text": np.array(["s_01", "é", ""]),
    "bytes": np.array([b"abc", b"d"]),
    "empty": np.zeros((0, 17, 3)),
    "one": np.array(3.5),
    "complex": np.array([1j, 2]),
}
PLAIN: dict[str, Any] = {
    "numbers": [1, -(2**70), 1.5, True, None, 2 + 1j],
    "texts": ("a", b"\xff\x00", bytearray(b"x"), "ü"),
    "containers": {"list": [[], {}], ("tu", 1): {1, 2}, "frozen": frozenset({3})},
    "ordered": collections.OrderedDict(a=1, b=[2]),
}


def dump(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def refusal(path: Path, *, read: Any = load_pickle) -> str:
    with pytest.raises(PoseMambaError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


@pytest.mark.parametrize("protocol", range(6))
def test_reads_what_pickles_of_arrays_hold(tmp_path: Path, protocol: int) -> None:
    objects = np.empty(3, object)
    objects[:] = [{"xy": np.ones(3)}, "s", None]
    scalars = [np.float32(2), np.int64(-4), np.bool_(True), np.str_("s_09")]
    value = {"arrays": ARRAYS, "plain": PLAIN, "objects": objects, "scalars": scalars, "in": (np.ones(2),)}
    read = load_pickle(dump(tmp_path / "a.pkl", value, protocol))
    for name, array in ARRAYS.items():
        got = read["arrays"][name]
        assert type(got) is np.ndarray and got.dtype.kind == array.dtype.kind and got.shape == array.shape, name
        np.testing.assert_array_equal(got, array)
    assert read["plain"] == PLAIN and type(read["plain"]["ordered"]) is collections.OrderedDict
    assert type(read["objects"][0]["xy"]) is np.ndarray and list(read["objects"][1:]) == ["s", None]
    assert read["scalars"] == scalars and type(read["scalars"][3]) is str
    assert type(read["in"][0]) is np.ndarray


def test_names_of_numpy_before_2_and_python_2(tmp_path: Path) -> None:
    value = {"a": np.arange(4.0), "s": np.str_("x")}
    data = pickle.dumps(value, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(data)
    np.testing.assert_array_equal(load_pickle(tmp_path / "old.pkl")["a"], np.arange(4.0))
    # Python 2's str is bytes: (SHORT_BINSTRING), also as an array's data
    python2 = (
        b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\xe9\x07tbs."
    )
    (tmp_path / "two.pkl").write_bytes(python2)
    np.testing.assert_array_equal(load_pickle(tmp_path / "two.pkl")["a"], np.array([0xE9, 7], np.uint8))


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


def test_code_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    cases = [
        (Runs(os.system, f"touch {made}"), "posix.system' | nt.system"),
        (Runs(eval, f"open({str(made)!r}, 'w')"), "builtins.eval"),
        (Runs(getattr, np, "load"), "builtins.getattr"),
        (Runs(np.load, "x"), "numpy.load"),
        (Runs(np.lib.format.open_memmap, str(made), "w+"), "open_memmap"),
        (datetime.date(2020, 1, 1), "datetime.date"),
        (np.ma.zeros(2), "_mareconstruct"),
        (Path("x"), "pathlib"),
    ]
    for protocol in (0, 2, 4):
        for value, name in cases:
            if "getattr" in name and protocol < 4:
                name = "__builtin__.getattr"
            if "eval" in name and protocol < 4:
                name = "__builtin__.eval"
            try:
                path = dump(tmp_path / "bad.pkl", {"train": [value]}, protocol)
            except (TypeError, pickle.PicklingError):
                continue  # modules cannot be pickled: nothing to refuse
            message = refusal(path)
            assert "refused" in message and any(n in message for n in name.split("' | ")), message
    assert not made.exists()


@pytest.mark.parametrize(
    "value",
    [np.zeros(2, [("a", "f4")]), np.array(["2020"], "M8[D]"), np.zeros(2).view(np.recarray)],
    ids=["structured", "dates", "subclass"],
)
def test_unusual_arrays_are_refused(tmp_path: Path, value: np.ndarray) -> None:
    assert "refused" in refusal(dump(tmp_path / "a.pkl", value))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93N}\x8c\x08__call__\x8c\x01xs\x86b.",  # sets an attribute of a name
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93.",  # a function as a value
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93K\x03\x85R.",  # calls it
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93\x8c\x0541f4xx\x85R.",
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\nK\x01\x85R.",
        b"\x80\x04cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n\x8c\x01O\x85R\x8c\x01xtR.",
        b"\x80\x04\x8c\x03hey\x94Q.",  # persistent id
        b"\x80\x04]" + b"]" * 5000 + b"a" * 5000 + b".",  # deeper than any data
        b"hello",
        b"\x80\x04K\x01\x85R.",
        b"\x80\x04.",
        b"\x80\xff.",
    ],
)
def test_hostile_and_damaged_files_end_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    refusal(tmp_path / "a.pkl")
    assert load_pickle(dump(tmp_path / "b.pkl", np.ones(2))).sum() == 2  # nothing was changed for others


def test_truncated_at_any_place(tmp_path: Path) -> None:
    data = pickle.dumps({"a": np.arange(40.0), "s": ["s_01"] * 5, "t": np.str_("x")}, protocol=2)
    for end in range(0, len(data), 7):
        (tmp_path / "a.pkl").write_bytes(data[:end])
        assert "copy it again" in refusal(tmp_path / "a.pkl")


@pytest.mark.parametrize(("seed", "times"), [(1, 300), pytest.param(0, 1500, marks=pytest.mark.slow)])
def test_flipped_bytes_never_crash(tmp_path: Path, seed: int, times: int) -> None:
    data = bytearray(pickle.dumps({"a": np.arange(4.0), "s": np.array(["x"]), "o": np.array([None, 1], object)}))
    random = np.random.default_rng(seed)
    for _ in range(times):
        spoiled = bytearray(data)
        value = random.integers(256)
        spoiled[random.integers(len(data))] = 0 if value == ord("r") else value  # "r" may ask for 16 GB of memory
        (tmp_path / "a.pkl").write_bytes(spoiled)
        try:
            load_pickle(tmp_path / "a.pkl")
        except PoseMambaError as error:
            assert "\n" not in str(error)


def test_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pkl")
    assert "cannot be read" in refusal(tmp_path)


def test_objects_in_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    data = {"S1 Seq1": [{"0": {"data_2d": np.ones((3, 17, 2))}}]}
    np.savez_compressed(path, data=np.array(data, object), row=np.array([1, "a"], object), plain=np.arange(3))
    read = load_npz_object(path, "data")
    assert read["S1 Seq1"][0]["0"]["data_2d"].shape == (3, 17, 2)
    assert list(load_npz_object(path, "row")) == [1, "a"] and load_npz_object(path, "plain").sum() == 3
    assert "no entry 'x', only data, row, plain" in refusal(path, read=lambda p: load_npz_object(p, "x"))

    np.savez(path, data=np.array({"a": Runs(os.system, "false")}, object))
    assert ".system" in refusal(path, read=lambda p: load_npz_object(p, "data"))
    whole = path.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:end])
        refusal(path, read=lambda p: load_npz_object(p, "data"))

    stream = io.BytesIO()
    np.save(stream, np.array({"a": np.ones(100)}, object))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", stream.getvalue()[:-60])
    assert "too early" in refusal(path, read=lambda p: load_npz_object(p, "data"))
