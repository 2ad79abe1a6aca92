import numpy as np
import pytest

from posemamba.data.mocap.motions import FILES, TEST_SUBJECTS, VALIDATION_SUBJECTS, load_motions, smooth
from posemamba.poses.skeletons import H36M17
from posemamba.utils.errors import PoseMambaError


def test_smoothing_takes_float16_steps_out_and_leaves_parabolas():
    time = np.arange(60) / 50
    path = (1 + 2 * time - 1.5 * time**2)[:, None, None].repeat(3, 2)
    assert np.abs(smooth(path)[3:-3] - path[3:-3]).max() < 1e-6
    wave = 1.5 + 0.2 * np.sin(2 * np.pi * time)[:, None, None].repeat(3, 2)
    rough = wave.astype(np.float16)
    assert np.abs(smooth(rough) - wave)[3:-3].std() < 0.75 * np.abs(rough - wave).std()


def test_missing_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(PoseMambaError, match=r"cmu_amc\.npz"):
        load_motions(tmp_path)
    monkeypatch.setenv("POSEMAMBA_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(PoseMambaError, match=r"elsewhere: no motion capture files there .*--data"):
        load_motions()
    monkeypatch.delenv("POSEMAMBA_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    with pytest.raises(PoseMambaError, match=r"home/posemamba/mocap: "):
        load_motions()


def test_files_without_a_clip_of_the_split_are_refused(tmp_path):
    for name in FILES:
        one = {"names": ["a"], "descriptions": ["walk"], "subjects": ["cmu_01"], "lengths": [4], "fps": 50.0}
        np.savez(tmp_path / name, positions=np.ones((4, 17, 3), np.float16), parents=H36M17.parents, **one)
    assert len(load_motions(tmp_path)) == 3
    for split in ("test", "validation"):
        with pytest.raises(PoseMambaError, match=f"no clip of the split '{split}'") as caught:
            load_motions(tmp_path, split)
        assert str(caught.value).startswith(f"{tmp_path}: ")


def test_split_of_the_real_files(mocap_files):
    parts = {split: load_motions(mocap_files, split) for split in ("train", "validation", "test", "all")}
    subjects = {k: set(v.subjects) for k, v in parts.items()}
    assert subjects["test"] == set(TEST_SUBJECTS) and len(parts["test"]) == 60
    assert subjects["validation"] == set(VALIDATION_SUBJECTS)
    assert not subjects["train"] & (subjects["test"] | subjects["validation"])
    assert {"cmu_60", "cmu_61"} <= subjects["train"]
    assert sum(len(parts[k]) for k in ("train", "validation", "test")) == len(parts["all"]) == 387
    assert np.isfinite(parts["all"].positions).all()


@pytest.mark.slow
def test_further_files_are_trained_on_and_nothing_else(mocap_files, motions, tmp_path):
    def save(name, **changes):
        said = {key: np.array(getattr(motions, key)) for key in ("positions", "lengths", "names", "descriptions")}
        said |= {"subjects": np.array(motions.subjects), "fps": 50.0, "parents": np.array(H36M17.parents), **changes}
        np.savez(tmp_path / name, **said)
        return tmp_path / name

    mine = save("mine.npz")
    plain, more = load_motions(mocap_files, "train"), load_motions(mocap_files, "train", [mine])
    assert more.names == (*plain.names, *motions.names) and more.subjects[-3:] == motions.subjects
    np.testing.assert_allclose(more.clip(len(plain)), smooth(motions.clip(0)), atol=1e-6)
    for split in ("validation", "test"):
        assert load_motions(mocap_files, split, [mine]).names == load_motions(mocap_files, split).names
    for wrong, said in (
        (save("slow.npz", fps=30.0), "30 frames a second, expected 50"),
        (save("held.npz", subjects=np.array(["a", "cmu_49", "b"])), "has cmu_49"),
        (save("short.npz", names=np.array(["a"])), "1 names, but 3 clips"),
        (tmp_path / "none.npz", "no such file"),
    ):
        with pytest.raises(PoseMambaError, match=said) as caught:
            load_motions(mocap_files, "train", [wrong])
        assert str(wrong) in str(caught.value)
