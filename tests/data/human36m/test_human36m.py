"""Human3.6M's preprocessed file: read, checked, cached, cut into clips."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures import human36m_files as files
from posemamba import cli
from posemamba.data.human36m import cache as human36m_cache
from posemamba.data.human36m.cache import in_memory
from posemamba.data.human36m.dataset import TYPICAL_MM_PER_UNIT, Human36M, cut_clips
from posemamba.data.human36m.file import Video, read_file
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user_cache"))
    return files.write(tmp_path / "data" / "motion3d" / files.FILE)


# --- agreement with the released code


@pytest.fixture
def parity(shared: Callable[..., Path], tmp_path: Path) -> tuple[Human36M, Any]:
    folder = shared("parity", "h36m_format")
    shutil.copy(folder / files.FILE, tmp_path)
    return Human36M.open(tmp_path), np.load(folder / "expected.npz", allow_pickle=False)


def test_clips_are_those_of_the_released_code(parity: tuple[Human36M, Any]) -> None:
    data, expected = parity
    np.testing.assert_array_equal(data.train_source().clips.start, expected["train_clips_first"])
    clips = data.test_clips()
    np.testing.assert_array_equal(clips.start, expected["test_clips_first"])
    first = next(data.test_batches(clips, 2))
    np.testing.assert_allclose(first.input[0], expected["test_input_clip0"][..., :2], atol=1e-6)
    np.testing.assert_allclose(first.label[0], expected["test_label_clip0"], atol=1e-6)
    np.testing.assert_allclose(data.test.joints[:243, :, 2], expected["test_input_clip0"][..., 2], atol=1e-7)


# --- clips


def _videos(*lengths: int) -> tuple[Video, ...]:
    starts = np.cumsum([0, *lengths])
    return tuple(Video(f"v{i}", "a", "55011271", int(starts[i]), n) for i, n in enumerate(lengths))


def test_clips_stay_within_videos() -> None:
    clips = cut_clips(_videos(243, 400, 100, 242 + 243, 324), 243, 81)
    assert clips.start.tolist() == [0, 243, 324, 643, 743, 824, 905, 1228, 1309]
    assert clips.video.tolist() == [0, 1, 1, 2, 3, 3, 3, 4, 4]
    short = clips.index(3) - 643
    assert short[0] == 0 and short[-1] == 99 and set(np.diff(short)) == {0, 1} and len(short) == 243
    np.testing.assert_array_equal(clips.index(1), np.arange(243, 486))


@pytest.mark.parametrize("length", [1, 26, 27, 28, 53, 54, 55, 100])
def test_with_tails_every_frame_is_in_a_clip(length: int) -> None:
    clips = cut_clips(_videos(5, length, 30), 27, 27, tails=True)
    of_video = [clips.index(i) for i in range(len(clips)) if clips.video[i] == 1]
    assert set(np.concatenate(of_video).tolist()) == set(range(5, 5 + length))
    assert len(of_video) == -(-length // 27)


# --- training batches


def test_every_epoch_has_every_clip_once(file: Path) -> None:
    source = Human36M.open(file, cache=False).train_source(frames=9, stride=5, seed=3)
    count = len(source)
    assert count == 11 + 1 + 7
    row = [c for step in range(3 * count) for c in source.places(step, 2)[0]]
    epochs = [row[i * count : (i + 1) * count] for i in range(6)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    both = [source.places(s, 2, rank=r, world=2)[0] for s in range(count) for r in range(2)]
    assert [c for clips in both for c in clips] == row[: 4 * count]  # processes share the row and overlap nowhere
    again = Human36M.open(file, cache=False).train_source(frames=9, stride=5, seed=3)
    for step in (40, 3, 17):  # as after a resume, in any order
        assert again.places(step, 2) == source.places(step, 2)
        np.testing.assert_array_equal(again.batch(step, 2).input, source.batch(step, 2).input)
    other = Human36M.open(file, cache=False).train_source(frames=9, stride=5, seed=4)
    assert [other.places(s, 2)[0] for s in range(9)] != [source.places(s, 2)[0] for s in range(9)]
    mirrored = [m for s in range(200) for m in source.places(s, 2)[1]]
    assert 0.4 < np.mean(mirrored) < 0.6


@pytest.mark.parametrize("inputs", ["detected", "exact"])
def test_batches_hold_the_files_numbers(file: Path, inputs: str) -> None:
    raw = files.content()["train"]
    source = Human36M.open(file).train_source(frames=12, stride=6, inputs=inputs)
    seen = set()
    for step in range(8):
        batch = source.batch(step, 3)
        for i, (clip, mirrored) in enumerate(zip(*source.places(step, 3), strict=True)):
            seen.add((mirrored, int(source.clips.video[clip])))
            frames = source.clips.index(clip)
            width, height = files.SIZES[raw["camera_name"][frames[0]]]
            offset = np.array([1, height / width])
            label = raw["joint3d_image"][frames] / width * 2
            label[..., :2] -= offset
            detected = raw["joint_2d"][frames] / width * 2 - offset
            confidence = raw["confidence"][frames, :, 0]
            if mirrored:
                label, detected = (a[:, list(H36M17.mirrored)].copy() for a in (label, detected))
                confidence = confidence[:, list(H36M17.mirrored)]
                label[..., 0] *= -1
                detected[..., 0] *= -1
            exact = inputs == "exact"
            np.testing.assert_allclose(batch.input[i], label[..., :2] if exact else detected, atol=1e-6)
            np.testing.assert_allclose(batch.target[i], label - label[:, :1], atol=1e-6)
            np.testing.assert_allclose(batch.exact[i], label[..., :2], atol=1e-6)
            np.testing.assert_allclose(batch.confidence[i], np.ones_like(confidence) if exact else confidence)
    assert len({v for _, v in seen}) == 3 and len({m for m, _ in seen}) == 2
    assert batch.mm_per_unit.shape == (3, 12) and (batch.mm_per_unit == TYPICAL_MM_PER_UNIT).all()
    assert all(t.dtype == torch.float32 for t in vars(batch).values())


def test_without_flip_nothing_is_mirrored_and_bad_options_are_named(file: Path) -> None:
    data = Human36M.open(file)
    source = data.train_source(frames=9, stride=9, flip=False)
    assert not any(m for s in range(20) for m in source.places(s, 2)[1])
    with pytest.raises(PoseMambaError, match="'gt', expected detected or exact"):
        data.train_source(inputs="gt")
    with pytest.raises(PoseMambaError, match="expected paper or all-frames"):
        data.test_clips(protocol="all")
    with pytest.raises(PoseMambaError, match="positive"):
        data.train_source(stride=0)


# --- cache


def test_converted_once_and_mapped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, first = Human36M.open(file, cache=False), Human36M.open(file.parent.parent)
    assert not (file.parent.parent.parent / "user_cache").exists()
    monkeypatch.setattr(human36m_cache, "read_file", lambda path: pytest.fail("read again"))
    second = Human36M.open(file)
    assert second.path == first.path == file
    for split in ("train", "test"):
        a, b = getattr(memory, split), getattr(second, split)
        assert isinstance(b.joints, np.memmap) and not b.joints.flags.writeable
        assert a.videos == b.videos
        np.testing.assert_array_equal(a.joints, b.joints)
    np.testing.assert_array_equal(memory.test.target_mm, second.test.target_mm)
    np.testing.assert_array_equal(memory.test.factor, second.test.factor)


def test_a_changed_file_or_a_damaged_copy_is_converted_again(file: Path) -> None:
    before = Human36M.open(file)
    old = before.train.joints[0, 0, 0].item()
    files.write(file, files.content(seed=1))
    os.utime(file, ns=(1, 10**18))
    now = Human36M.open(file)
    assert now.train.joints[0, 0, 0] != old and before.train.joints[0, 0, 0] == old
    folder = file.with_name(file.name + ".posemamba")
    short = (folder / "test.npy").read_bytes()[:1000]
    (folder / "test.npy").unlink()  # it is mapped: cut in place it would end the program
    (folder / "test.npy").write_bytes(short)
    np.testing.assert_array_equal(Human36M.open(file).test.joints, now.test.joints)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "version": 0}))
    Human36M.open(file)
    assert json.loads((folder / "index.json").read_text()) == index
    assert sorted(p.name for p in file.parent.iterdir()) == [file.name, folder.name]


@pytest.mark.parametrize("kind", ["channels", "type", "no factor", "camera", "name", "start", "length"])
def test_a_copy_whose_parts_do_not_fit_is_converted_again(file: Path, kind: str) -> None:
    whole = Human36M.open(file).test
    folder = file.with_name(file.name + ".posemamba")
    index = json.loads((folder / "index.json").read_text())
    video = index["videos"]["test"][0]
    if kind in ("channels", "type"):
        joints = np.array(whole.joints)
        (folder / "test.npy").unlink()  # mapped, as above
        np.save(folder / "test.npy", joints[..., :5] if kind == "channels" else joints.astype(np.float64))
    elif kind == "no factor":
        (folder / "test_factor.npy").unlink()
    else:
        video[kind] = {"camera": "1", "name": "x", "start": 1, "length": float(video["length"])}[kind]
        (folder / "index.json").write_text(json.dumps(index))
    again = Human36M.open(file).test
    assert again.videos == whole.videos and again.factor is not None
    np.testing.assert_array_equal(again.joints, in_memory(file)["test"].joints)


@pytest.mark.parametrize("part", ["train", "test", "test_factor", "test_target_mm"])
@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e30])
def test_a_copys_numbers_are_checked_where_they_are_read(file: Path, part: str, bad: float) -> None:
    def read() -> None:
        data = Human36M.open(file)
        source = data.train_source(frames=9, stride=9)
        source.batch(0, len(source))
        list(data.test_batches(data.test_clips(9, protocol="all-frames"), 4))

    read()
    folder = file.with_name(file.name + ".posemamba")
    numbers = np.load(folder / f"{part}.npy")
    numbers.flat[0] = bad
    (folder / f"{part}.npy").unlink()  # mapped, as above
    np.save(folder / f"{part}.npy", numbers)
    with pytest.raises(PoseMambaError, match=rf"/{part}\.npy: holds NaN, .* delete its folder .*\.posemamba:"):
        read()
    shutil.rmtree(folder)
    read()


def test_where_nothing_can_be_written_the_users_cache_is_taken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = human36m_cache._write

    def refuse(folder: Path, *rest: Any) -> None:
        if folder.parent == file.parent:
            raise PermissionError(13, "Permission denied")
        write(folder, *rest)

    monkeypatch.setattr(human36m_cache, "_write", refuse)
    data = Human36M.open(file)
    assert "user_cache" in str(data.train.joints.filename)  # type: ignore[attr-defined]
    monkeypatch.setattr(human36m_cache, "read_file", lambda path: pytest.fail("read again"))
    Human36M.open(file)


def test_a_failed_conversion_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*unused: Any, **unused_too: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(PoseMambaError, match=r"No space left on device.*POSEMAMBA_CACHE"):
        Human36M.open(file)
    assert [p.name for p in file.parent.iterdir()] == [file.name]


# --- what is wrong with a file


def _nan(made: Any) -> None:
    made["test"]["joints_2.5d_image"][55, 3, 1] = np.nan


WRONG: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "no split": (lambda m: m.pop("test"), ("train and test", "found train")),
    "no field": (lambda m: m["train"].pop("joint_2d"), ("['train']", "'joint_2d' missing")),
    "no factor": (lambda m: m["test"].pop("2.5d_factor"), ("['test']", "'2.5d_factor' missing")),
    "camera": (
        lambda m: m["train"]["camera_name"].__setitem__(slice(60, 69), "12345678"),
        ("unknown camera '12345678' in frame 60 (s_05_act_14_subact_01_ca_02)", "54138969"),
    ),
    "two cameras": (
        lambda m: m["test"]["camera_name"].__setitem__(7, "55011271"),
        ("'camera_name' changes within video s_09_act_02_subact_01_ca_01", "frames 0 to 49"),
    ),
    "two actions": (lambda m: m["test"]["action"].__setitem__(7, "Sit"), ("'action' changes", "Direction, Sit")),
    "lengths": (lambda m: m["train"]["action"].pop(), ("number of frames", "action 109", "joint_2d 110")),
    "shape": (
        lambda m: m["test"].update(joint_2d=m["test"]["joint_2d"][:, :16]),
        ("'joint_2d' has shape (122, 16, 2), expected (122, 17, 2)",),
    ),
    "nan": (_nan, ("'joints_2.5d_image' is NaN or infinite in 1 frames, first in frame 55", "act_05_subact_02_ca_03")),
    "subject": (
        lambda m: m["train"]["source"].__setitem__(slice(0, 60), ["s_09_act_02_subact_01_ca_01"] * 60),
        ("subject 9", "expected subjects 1, 5, 6, 7, 8 only"),
    ),
    "name": (lambda m: m["test"]["source"].__setitem__(0, "video.mp4"), ("video 'video.mp4'", "s_09_act_02")),
    "factor": (lambda m: m["test"]["2.5d_factor"].__setitem__(4, 0), ("'2.5d_factor' of frame 4 is 0.0",)),
    "text": (lambda m: m["test"].update(joint_2d=["x"] * 122), ("'joint_2d' does not hold numbers",)),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(file: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, told = WRONG[case]
    made = files.content()
    spoil(made)
    files.write(file, made)
    with pytest.raises(PoseMambaError) as caught:
        Human36M.open(file)
    assert all(part in str(caught.value) for part in (str(file), *told)), caught.value
    assert cli.main(["data", "check", str(file.parent)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(part in error for part in told)


def test_where_the_file_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(PoseMambaError, match=r"no h36m_sh_conf_cam_source_final\.pkl in this folder or its 2 subf"):
        Human36M.open(tmp_path)
    (tmp_path / "a" / "h36m_sh_conf_cam_source_final.pkl.zip").touch()
    with pytest.raises(PoseMambaError, match=r"pkl\.zip is there: unpack it"):
        Human36M.open(tmp_path)
    with pytest.raises(PoseMambaError, match="no such file or folder"):
        Human36M.open(tmp_path / "none")


def test_other_ways_to_write_the_file(tmp_path: Path) -> None:
    made = files.content()
    plain = read_file(files.write(tmp_path / "a.pkl", made, protocol=2))["train"]
    assert plain.confidence is not None and plain.confidence.shape == (110, 17)
    for split in made.values():
        del split["confidence"]
        split["camera_name"] = [int(name) for name in split["camera_name"]]
        split["source"] = np.array(split["source"])
        split["action"] = np.array(split["action"], object)
        split["joint_2d"] = split["joint_2d"].astype(np.float64)
    made["extra"] = {}
    data = Human36M.open(files.write(tmp_path / "b.pkl", made), cache=False)
    assert data.train.videos == plain.videos and (data.train.joints[..., 2] == 1).all()


# --- posemamba data check


def test_check_tells_what_is_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "check", str(file.parent.parent)]) == 0
    told = capsys.readouterr().out
    for part in (
        f"{files.FILE}: {file}",
        "none yet",
        "train: 110 frames",
        "subjects: 1 (1), 5 (1), 8 (1); not there: 6, 7",
        "actions: Direction (1), Walk (2)",
        "54138969 (1)",
        "joint_2d: (110, 17, 2) float32",
        "confidence: (110, 17)",
        "2.5d_factor: (122,)",
        "clips of 243 frames every 81: 3; shorter videos, stretched: 3",
        "blocked videos, never scored: 1, 45 frames",
        "nothing wrong was found",
    ):
        assert part in told, part


def test_check_refuses_code_and_truncated_files(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert cli.main(["data", "check", str(file)]) == 2
    assert "ends too early" in capsys.readouterr().err
    file.write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    assert cli.main(["data", "check", str(file)]) == 2
    assert "'posix.system', which is refused" in capsys.readouterr().err
    empty = file.parent / "empty"
    empty.mkdir()
    for path, told in ((empty, "no data set's file"), (file.parent / "none", "no such file")):
        assert cli.main(["data", "check", str(path)]) == 2
        assert told in capsys.readouterr().err
    assert cli.main(["data"]) == 2 and "--help" in capsys.readouterr().err
