"""Damaged inputs of all kinds: each is refused in one line, at once, and nothing is written."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.command_line import keypoints, refused, snapshot
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.poses.skeletons import COCO17

LIMIT_SECONDS = 5.0


def npz(**members: Any) -> bytes:
    """A keypoint file with some of its arrays replaced; None leaves one out."""
    clip = keypoints()
    arrays: dict[str, Any] = {
        "keypoints": clip.xy,
        "confidence": clip.confidence,
        "fps": np.float64(25),
        "image_size": np.array([320, 240]),
        "skeleton": np.array("h36m17"),
        **members,
    }
    stream = io.BytesIO()
    np.savez(stream, **{name: array for name, array in arrays.items() if array is not None})
    return stream.getvalue()


def archive(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def described(descr: str, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    return npy(repr({"descr": descr, "fortran_order": False, "shape": shape}), data)


def text_of(*codes: int) -> np.ndarray:
    return np.array(codes, "<u4").view(f"<U{len(codes)}").reshape(())


def patched(content: bytes, at: int, value: int) -> bytes:
    """The flags of all entries of a zip file set, in the local headers and in the directory."""
    made = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = made.find(mark)
        while place >= 0:
            made[place + offset + at] |= value
            place = made.find(mark, place + 4)
    return bytes(made)


def broken_stream(method: int) -> bytes:
    """A compressed file whose packed bytes are noise."""
    content = bytearray(archive(method, keypoints=described("<f8", (12, 17, 2), bytes(12 * 17 * 16))))
    start = content.find(b"keypoints.npy") + len("keypoints.npy")
    # LZMA's properties come first; deflate's first byte 0x07 is a block of a kind that there is not
    content[start + (9 if method == zipfile.ZIP_LZMA else 0) : start + 18] = b"\x07" * 9
    return bytes(content)


def nested_pickle(levels: int) -> bytes:
    """A tuple of two references to a tuple of two references to ..., as a key."""
    return b"\x80\x02)" + b"q\x000h\x00h\x00\x86" * levels + b"}q\x01X\x01\x00\x00\x00aK\x01s."


def tuple_key(levels: int) -> bytes:
    return b"\x80\x02})" + b"q\x000h\x00h\x00\x86" * levels + b"K\x01s."


def person(x: float = 100) -> list[list[float]]:
    return [[x + 5 * joint, 50.0 + 7 * joint] for joint in range(17)]


def mmpose(frames: list[Any]) -> bytes:
    return json.dumps([{"frame_id": i, "instances": people} for i, people in enumerate(frames)]).encode()


def table(rows: list[tuple[int, int]]) -> bytes:
    """A table of COCO's joints with (frame, person) rows."""
    head = ",".join(["frame", "person", *(f"{joint}_{axis}" for joint in COCO17.joints for axis in "xy")])
    body = [f"{frame},{who}," + ",".join(f"{100 + 3 * i}" for i in range(34)) for frame, who in rows]
    return "\n".join([head, *body]).encode()


def deeplabcut(frames: list[int]) -> bytes:
    joints = COCO17.joints
    head = [
        ",".join(["scorer", *["D"] * 51]),
        ",".join(["bodyparts", *(joint for joint in joints for _ in range(3))]),
        ",".join(["coords", *["x", "y", "likelihood"] * 17]),
    ]
    return "\n".join([*head, *(f"{n}," + ",".join(["100", "90", "0.9"] * 17) for n in frames)]).encode()


KEYPOINTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty archive": ("k.npz", lambda: archive()),
    "broken deflate": ("k.npz", lambda: broken_stream(zipfile.ZIP_DEFLATED)),
    "broken lzma": ("k.npz", lambda: broken_stream(zipfile.ZIP_LZMA)),
    "encrypted": ("k.npz", lambda: patched(npz(), 0, 1)),
    "same name twice": ("k.npz", lambda: archive(keypoints=b"") + b""),
    "no array": ("k.npz", lambda: archive(keypoints=b"hello")),
    "header of brackets": ("k.npz", lambda: archive(keypoints=npy("[" * 7))),
    "header nested": ("k.npz", lambda: archive(keypoints=npy("[" * 9000))),
    "header of code": ("k.npz", lambda: archive(keypoints=npy("__import__('os').system('true')"))),
    "declares terabytes": ("k.npz", lambda: archive(keypoints=described("<f8", (10**6, 17, 2, 10**6)))),
    "declares a negative shape": ("k.npz", lambda: archive(keypoints=described("<f8", (-1, 17, 2)))),
    "bomb": (
        "k.npz",
        lambda: archive(zipfile.ZIP_DEFLATED, keypoints=described("|i1", (3_000_000, 17, 2), bytes(102 * 10**6))),
    ),
    "structured": ("k.npz", lambda: npz(keypoints=np.zeros(5, "f8,i4"))),
    "times of dates": ("k.npz", lambda: npz(times=np.arange(12).astype("M8[s]"))),
    "complex": ("k.npz", lambda: npz(keypoints=keypoints().xy.astype(complex))),
    "fps tiny": ("k.npz", lambda: npz(fps=np.float64(1e-300))),
    "fps huge": ("k.npz", lambda: npz(fps=np.float64(1e9))),
    "fps NaN": ("k.npz", lambda: npz(fps=np.float64("nan"))),
    "size huge": ("k.npz", lambda: npz(image_size=np.array([1e300, 1e300]))),
    "size beyond any": ("k.npz", lambda: npz(image_size=np.array([2**40, 5]))),
    "size negative": ("k.npz", lambda: npz(image_size=np.array([-640, 480]))),
    "person NaN": ("k.npz", lambda: npz(person=np.float64("nan"))),
    "person a half": ("k.npz", lambda: npz(person=np.float64(0.5))),
    "text beyond Unicode": ("k.npz", lambda: npz(skeleton=text_of(0x7FFFFFFF))),
    "surrogate": ("k.npz", lambda: npz(source=text_of(97, 0xD800, 98))),
    "far away": ("k.npz", lambda: npz(keypoints=keypoints().xy.astype(float) * 1e17, image_size=None)),
    "times too close": ("k.npz", lambda: npz(fps=None, times=np.arange(12) * 1e-300)),
    "times with a gap of years": ("k.npz", lambda: npz(times=np.array([*np.arange(11) / 25, 1e9]))),
    "detections are a number": ("k.npz", lambda: npz(boxes=np.array(5), keypoints=np.array(5), metadata=np.array(5))),
    "data set in a pickle that grows": (
        "k.npz",
        lambda: archive(positions_2d=described("|O", (0,), nested_pickle(60))),
    ),
    "tuples as a key": ("k.npz", lambda: archive(positions_2d=described("|O", (0,), tuple_key(60)))),
    "packed pickle": (
        "k.npz",
        lambda: archive(zipfile.ZIP_DEFLATED, positions_2d=described("|O", (1,), b"\x80\x02(" + b"}" * 10**8 + b"l.")),
    ),
    "JSON nested": ("k.json", lambda: b"[" * 100_000),
    "JSON nested objects": ("k.json", lambda: b'{"instance_info":' * 10_000),
    "JSON with thousands of digits": (
        "k.json",
        lambda: mmpose([[{"keypoints": person()}]]).replace(b"100.0", b"1" * 5000),
    ),
    "JSON with 1e400": ("k.json", lambda: mmpose([[{"keypoints": person()}]]).replace(b"100.0", b"1" + b"0" * 400)),
    "JSON with infinity": ("k.json", lambda: mmpose([[{"keypoints": person(float("inf"))}]])),
    "JSON of lone surrogates": ("k.json", lambda: b'{"\\ud800": 1}'),
    "crowd": ("k.json", lambda: mmpose([[{"keypoints": [[9, 9]] * 17}] * 1200])),
    "frames far apart": (
        "k.json",
        lambda: json.dumps([{"frame_id": n, "instances": [{"keypoints": person()}]} for n in (0, 10**9)]).encode(),
    ),
    "AlphaPose's idx a list in lists": (
        "k.json",
        lambda: json.dumps([{"image_id": {}, "keypoints": [1] * 51}]).encode(),
    ),
    "width infinite": (
        "k.json",
        lambda: (
            b'{"width": Infinity, "height": 720, "frames": [{"pose_landmarks": [['
            + b",".join([b'{"x": 0.5, "y": 0.4}'] * 33)
            + b"]]}]}"
        ),
    ),
    "header of thousands of digits": (
        "k.csv",
        lambda: b"frame,time,x" + b"1" * 5000 + b",y" + b"1" * 5000 + b"\n0,0,1,2\n",
    ),
    "people over the whole of a long clip": (
        "k.csv",
        lambda: table([(100_000 * (n == 6), who) for n in range(7) for who in range(100)]),
    ),
    "DeepLabCut's rows far apart": ("k.csv", lambda: deeplabcut([90_000 * n for n in range(20)])),
    "field without end": ("k.csv", lambda: b'frame,a_x,a_y,"' + b"x" * 150_000),
    "NUL bytes": ("k.csv", lambda: table([(0, 1)]).replace(b"100", b"1\x000")),
    "UTF-16": ("k.csv", lambda: table([(0, 1)]).decode().encode("utf-16")),
}


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import what takes seconds, so that the time of a refusal is its own."""
    import posemamba.lifting.lifter
    import posemamba.pipeline.lift
    import posemamba.train.module
    import posemamba.train.run  # noqa: F401


@pytest.mark.parametrize("kind", KEYPOINTS)
def test_damaged_keypoints(kind: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, make = KEYPOINTS[kind]
    path = tmp_path / name
    path.write_bytes(make())
    assert path.stat().st_size <= 200_000
    before = snapshot(tmp_path)
    for call in (
        ["lift", path, "-o", tmp_path / "out", "--weights", weights],
        ["convert", path, tmp_path / "out.json"],
    ):
        begin = time.process_time()
        assert str(path) in refused(capsys, *call)
        assert time.process_time() - begin < LIMIT_SECONDS
    assert snapshot(tmp_path) == before


RECIPES: dict[str, str] = {
    "base with NUL": 'base: "x\\0y"\n',
    "no such date": "lr: 2001-99-99\n",
    "aliases of aliases": "".join(f"a{i}: &a{i} [{','.join(['x' if not i else f'*a{i - 1}'] * 9)}]\n" for i in range(9))
    + "lr: *a8\n",
    "contains itself": "losses: &a [*a]\n",
    "nested": "losses: " + "[" * 20_000,
    "digits": "seed: " + "1" * 5000 + "\n",
    "float beyond any": "lr: 1.0e+999\n",
    "depth": "model: {options: {depth: 1000000}}\n",
    "giant": "model: {options: {depth: 500, width: 8192}}\n",
    "no kind": "model: {kind: [1]}\n",
    "steps": "epochs: 99999999999999999999\n",
    "many unknown fields": "".join(f"field_{i}: 1\n" for i in range(5000)),
    "long unknown field": "x" * 90_000 + ": 1\n",
    "tab": "a:\n\t- b\n",
    "object": "lr: !!python/object/apply:os.system [true]\n",
    "large": "# " + "x" * 150_000,
}


@pytest.mark.parametrize("kind", RECIPES)
def test_damaged_recipes(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPES[kind], encoding="utf-8")
    before = snapshot(tmp_path)
    begin = time.process_time()
    assert "recipe" in refused(capsys, "train", path, "-o", tmp_path / "run", "--data", tmp_path)
    assert time.process_time() - begin < LIMIT_SECONDS
    assert snapshot(tmp_path) == before


def test_recipe_whose_base_is_a_circle_of_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text("base: circle.yaml\n", encoding="utf-8")
    assert "circle.yaml" in refused(capsys, "train", path, "-o", tmp_path / "run")
    for i in range(40):
        (tmp_path / f"chain{i}.yaml").write_text(f"base: chain{i + 1}.yaml\n", encoding="utf-8")
    assert "chain" in refused(capsys, "train", tmp_path / "chain0.yaml", "-o", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from posemamba.models.posemamba import PoseMamba
    from posemamba.models.posemamba_config import PoseMambaConfig
    from posemamba.models.registry import save_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, PoseMamba(PoseMambaConfig(width=16, depth=1, frames=27)), {"person_size": 0.25})
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A safetensors file with another header."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def configured(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        config = {**json.loads(header["__metadata__"]["config"]), **changes}
        header["__metadata__"]["config"] = json.dumps(config)

    return change


def carded(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["__metadata__"].update(card=text)


def declared(header: dict[str, Any]) -> None:
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"], header[name]["data_offsets"] = [10**12], [0, 4 * 10**12]


HEADERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "card broken": carded("{"),
    "card a list": carded("[]"),
    "card nested": carded("[" * 50_000),
    "person_size a list": carded('{"person_size": [1]}'),
    "person_size infinite": carded('{"person_size": Infinity}'),
    "depth of a million": configured(depth=10**6),
    "depth of 500": configured(depth=500),
    "width of ten million": configured(width=10**7),
    "width of 4096": configured(width=4096),
    "frames of a million": configured(frames=10**6),
    "joints negative": configured(joints=-5),
    "config of text": configured(depth="many"),
    "config broken": lambda header: header["__metadata__"].update(config="{"),
    "config nested": lambda header: header["__metadata__"].update(config="[" * 50_000),
    "model of no kind": lambda header: header["__metadata__"].update(model="\ud800"),
    "terabytes": declared,
}


@pytest.mark.parametrize("kind", HEADERS)
def test_damaged_weights(kind: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(rewritten(weights, HEADERS[kind]))
    write_keypoints_npz(tmp_path / "k.npz", keypoints())
    before = snapshot(tmp_path)
    for call in (["info", "--weights", path], ["lift", tmp_path / "k.npz", "-o", tmp_path / "out", "--weights", path]):
        begin = time.process_time()
        assert str(path) in refused(capsys, *call)
        assert time.process_time() - begin < LIMIT_SECONDS
    assert snapshot(tmp_path) == before


def _zeroed(state: dict[str, Any]) -> None:
    import torch

    for name in list(state):
        if "mlp.fc1.weight" in name:
            state[name] = torch.zeros(0, 0)


def _expanded(state: dict[str, Any]) -> None:
    import torch

    state["STEblocks.0.norm.weight"] = torch.zeros(1).half().expand(10**11)


def _numbered(state: dict[str, Any]) -> None:
    state["STEblocks.1000000.norm.weight"] = state["STEblocks.0.norm.weight"]


def _worded(state: dict[str, Any]) -> None:
    state["STEblocks.x.norm1.weight"] = state["STEblocks.0.norm.weight"]


def _sparse(state: dict[str, Any]) -> None:
    import torch

    state["STEblocks.0.norm.weight"] = torch.sparse_coo_tensor(torch.zeros(1, 1).long(), torch.ones(1), (10**12,))


@pytest.mark.parametrize("change", [_zeroed, _expanded, _numbered, _worded, _sparse])
def test_damaged_checkpoints(
    change: Callable[[dict[str, Any]], None], weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from safetensors.torch import load_file

    state: dict[str, Any] = dict(load_file(weights))
    change(state)
    path = tmp_path / "w.bin"
    torch.save({"model_pos": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    begin = time.process_time()
    assert str(path) in refused(capsys, "info", "--weights", path)
    assert time.process_time() - begin < LIMIT_SECONDS


def test_packed_checkpoint(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("w/data.pkl", b"\x80\x02}.")
        file.writestr("w/data/0", bytes(10**8))
    assert "unpacks to" in refused(capsys, "info", "--weights", path)


def test_picture_of_gigapixels(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL", reason="pictures need the extra 'video'")
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (60_000, 12_000):
        rows = zlib.compress(bytes(side // 8 + 1) * 100, 9)
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        path = tmp_path / "p.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
        assert str(path) in refused(capsys, "lift", path, "-o", tmp_path / "out", "--weights", weights)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) run\n")  # Pillow would run Ghostscript
    assert str(path) in refused(capsys, "lift", path, "-o", tmp_path / "out", "--weights", weights)
    assert not (tmp_path / "out").exists()


MOTIONS: dict[str, Callable[[], bytes]] = {
    "newlines": lambda: b"HIERARCHY" + b"\n" * 190_000,
    "spaces": lambda: b"HIERARCHY\nROOT" + b" " * 190_000,
    "channels without end": lambda: b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 999999999 Xposition\n}\nMOTION\n",
    "nodes times frames": lambda: (
        b"HIERARCHY\nROOT a{OFFSET 0 0 0 CHANNELS 1 Xposition\n"
        + b"JOINT b{OFFSET 0 0 0\n}\n" * 4000
        + b"}\nMOTION\nFrames: 40000\nFrame Time: 0.01\n"
        + b"1 " * 40000
    ),
    "frames without end": lambda: (
        b"HIERARCHY\nROOT a{OFFSET 0 0 0}\nMOTION\nFrames: " + b"9" * 5000 + b"\nFrame Time: 1\n"
    ),
    "a frame in years": lambda: (
        b"HIERARCHY\nROOT a{OFFSET 0 0 0 CHANNELS 1 Xposition\n}\nMOTION\nFrames: 9\nFrame Time: 1e9\n" + b"1 " * 9
    ),
    "brackets": lambda: b"HIERARCHY\n" + b"}" * 100,
}


@pytest.mark.parametrize("kind", MOTIONS)
def test_damaged_motion_capture(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from posemamba.data.mocap.bvh import read_bvh
    from posemamba.utils.errors import PoseMambaError

    path = tmp_path / "m.bvh"
    path.write_bytes(MOTIONS[kind]())
    begin = time.process_time()
    with pytest.raises(PoseMambaError, match=r"m\.bvh"):
        read_bvh(path)
    assert time.process_time() - begin < LIMIT_SECONDS


def test_numbers_that_overflow_leave_no_warning_of_numpy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from posemamba import cli

    turns, far = "CHANNELS 3 Zrotation Xrotation Yrotation", "9" * 400
    path = tmp_path / "clips" / "far.bvh"
    path.parent.mkdir()
    path.write_text(
        f"HIERARCHY\nROOT a\n{{\nOFFSET 0 0 0\n{turns}\nJOINT b\n{{\nOFFSET 0 {far} -{far}\n{turns}\n"
        f"End Site\n{{\nOFFSET 0 {far} 0\n}}\n}}\n}}\n"
        f"MOTION\nFrames: 2\nFrame Time: 0.03\n{'1 2 3 4 5 6 ' * 2}\n"
    )
    call = ["data", "bvh", str(path.parent), str(tmp_path / "out.npz")]
    assert cli.main(call) == 2
    said = capsys.readouterr().err
    assert "encountered" not in said and said.count("error: ") == 1
    assert "expected the folder" in refused(capsys, "data", "bvh", path, tmp_path / "out.npz")
    monkeypatch.setenv("POSEMAMBA_DEBUG", "1")
    assert cli.main(call) == 2 and "invalid value encountered" in capsys.readouterr().err


def test_several_inputs_go_on(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from posemamba import cli

    write_keypoints_npz(tmp_path / "good.npz", keypoints())
    write_keypoints_npz(tmp_path / "better.npz", keypoints())
    (tmp_path / "bad.npz").write_bytes(npz(fps=np.float64(1e9)))
    (tmp_path / "circle.mp4").symlink_to("circle.mp4")
    sources = [tmp_path / name for name in ("good.npz", "bad.npz", "circle.mp4", "better.npz")]
    call = ["lift", *sources, "-o", tmp_path / "out", "--weights", weights, "--no-overlay", "--no-viewer"]
    assert cli.main([str(word) for word in call]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"2 of 4 inputs are done, 2 failed: {sources[1]}, {sources[2]}"
    assert sum(line.startswith("error: ") for line in said) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["better", "good"]
    assert (tmp_path / "out" / "better" / "poses.npz").is_file()


def test_links_of_a_folder_that_lead_nowhere_are_named_and_the_others_go_on(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from posemamba import cli

    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("lost10.npz", "lost2.npz", ".hidden.npz", "notes.txt"):
        (folder / name).symlink_to(tmp_path / "gone")
    call = ["lift", str(folder), "-o", str(tmp_path / "out"), "--weights", str(weights), "--no-overlay", "--no-viewer"]
    assert cli.main(call) == 2
    assert "expected some of them; 2 links lead nowhere: lost2.npz, lost10.npz\n" in capsys.readouterr().err
    write_keypoints_npz(tmp_path / "there.npz", keypoints())
    (folder / "linked.npz").symlink_to(tmp_path / "there.npz")
    write_keypoints_npz(folder / "good.npz", keypoints())
    assert cli.main(call) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert told == [f"warning: {folder}: 2 links lead nowhere: lost2.npz, lost10.npz; left out"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["good", "linked"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
@pytest.mark.parametrize("name", ["k.npz", "k.json", "v.mp4", "p.png", "nothing", "r.yaml"])
def test_a_pipe_is_not_waited_for(name: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / name)
    if name == "r.yaml":
        refused(capsys, "train", tmp_path / name, "-o", tmp_path / "run")
    else:
        assert name in refused(capsys, "lift", tmp_path / name, "-o", tmp_path / "out", "--weights", weights)


def test_names_that_no_file_can_have(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a\0b.npz", "a\0b.mp4", "x" * 5000 + ".npz", "", "\udcff.npz", "a\nb.png"):
        refused(capsys, "lift", name, "-o", tmp_path / "out", "--weights", weights)
        refused(capsys, "lift", "-o", tmp_path / "out", "--weights", name, tmp_path / "none.npz")
        refused(capsys, "convert", name, tmp_path / "out.csv")
        refused(capsys, "quality", name)
        refused(capsys, "train", name, "-o", tmp_path / "run")
        refused(capsys, "info", "--weights", name)
        refused(capsys, "data", "check", name)
    assert not list(tmp_path.iterdir())
