"""docs/skeletons.md from training to lifting; losses, mirroring and configs of other joints; what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba import Keypoints2D, cli, load_model
from posemamba.lifting.joints import lift_joints
from posemamba.lifting.lifter import Lifter
from posemamba.models.inputs import mirror
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.poses.skeletons import BODY25, H36M17, HAND21, LIMB_ORDER, OTHERS, Skeleton, register_skeleton
from posemamba.train.losses import bone_direction, temporal_consistency, total_loss
from posemamba.utils.errors import PoseMambaError

PAGE = Path(__file__).parents[2] / "docs" / "skeletons.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_page_trains_and_lifts_hands(tmp_path, monkeypatch, capsys):
    pytest.importorskip("lightning")
    data, use = _blocks("python")
    (tmp_path / "my_hands.py").write_text(data)
    (tmp_path / "hands.yaml").write_text(_blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = "train hands.yaml -o runs/hands --plugin my_hands --export hands.safetensors --device cpu"
    assert cli.main(line.split()) == 0, capsys.readouterr().err
    found = re.search(r"step 40 of 40, finished; P1 test ([\d.]+) mm", capsys.readouterr().out)
    assert found and float(found[1]) < 60, "hands are 200 mm long"
    names: dict[str, object] = {}
    exec(use, names)
    assert names["xyz"].shape == (30, 21, 3) and np.isfinite(names["xyz"]).all()
    import my_hands

    model = load_model("hands.safetensors")
    assert model.config.skeleton == "hand21" and model.config.limb_order == HAND21.limb_order
    joints, target = my_hands.waving_hands(1, 30, 7)
    clip = Keypoints2D((joints[0].numpy() + np.array([1, 0.75])) * 320, np.ones((30, 21)), HAND21, (640, 480), 25.0)
    lifted = lift_joints(model, clip, flip=False) / 320
    error = np.linalg.norm(lifted - (target[0] - target[0, :, :1]).numpy(), axis=-1).mean()
    assert error * 1000 < 80
    assert cli.main(["info", "--weights", "hands.safetensors"]) == 0
    from posemamba.io.keypoints import write_keypoints_npz

    write_keypoints_npz("keypoints.npz", clip)
    assert cli.main(["lift", "keypoints.npz", "--weights", "hands.safetensors", "-o", "out"]) == 2
    assert "made for 21 joints (hand21), expected Human3.6M's 17" in capsys.readouterr().err


@pytest.mark.parametrize("skeleton", [BODY25, HAND21], ids=lambda s: s.name)
def test_a_model_of_other_joints_learns_and_is_mirrored_by_its_pairs(skeleton):
    torch.manual_seed(0)
    model = PoseMamba.preset("s", skeleton=skeleton.name, width=16, depth=1, frames=4, drop_path=0.0)
    assert model.config.joints == len(skeleton) == len(model.config.limb_order)
    x, target = torch.randn(2, 4, len(skeleton), 2), torch.randn(2, 4, len(skeleton), 3)
    weights = {"mpjpe": 1.0, "temporal_consistency": 1.0, "bone_direction": 1.0}
    loss, parts = total_loss(model.train()(x), target, weights, skeleton)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert set(parts) == set(weights)
    steps = target.diff(dim=1).square().mean()
    torch.testing.assert_close(temporal_consistency(target, skeleton), steps)
    assert bone_direction(3 * target, target, skeleton) < 1e-6
    turned = mirror(target, skeleton=skeleton)
    torch.testing.assert_close(mirror(turned, skeleton=skeleton), target)
    for left, right in skeleton.pairs:
        torch.testing.assert_close(turned[..., left, :], target[..., right, :] * torch.tensor([-1.0, 1, 1]))


def test_clips_longer_than_a_window_and_frames_without_joints():
    """Windows overlap without a seam; a joint that was never found has a place; frames without any are NaN."""
    torch.manual_seed(0)
    model = PoseMamba.preset("s", skeleton="body25", width=16, depth=1, frames=9)
    xy = np.random.default_rng(0).uniform(100, 300, (25, 25, 2))
    xy[:, 4] = np.nan
    xy[7] = np.nan
    clip = Keypoints2D(xy, np.ones((25, 25)), BODY25, (640, 480), 25.0)
    lifted = lift_joints(model, clip)
    assert lifted.shape == (25, 25, 3) and np.isnan(lifted[7]).all() and np.isfinite(np.delete(lifted, 7, 0)).all()
    assert (lifted[0, 0] == 0).all()
    whole = lift_joints(model, Keypoints2D(xy[:5], np.ones((5, 25)), BODY25, (640, 480), 25.0))
    assert whole.shape == (5, 25, 3)
    for wrong, told in (
        (Keypoints2D(xy[:, :17], np.ones((25, 17)), H36M17, (640, 480), 25.0), "joints of h36m17, expected .* body25"),
        (Keypoints2D(np.full_like(xy, np.nan), np.ones((25, 25)), BODY25, (640, 480), 25.0), "no joint was found"),
    ):
        with pytest.raises(PoseMambaError, match=told):
            lift_joints(model, wrong)
    with pytest.raises(PoseMambaError, match=r"25 joints \(body25\).*lift_joints"):
        Lifter(model)


def test_skeletons_of_ones_own(monkeypatch):
    monkeypatch.setattr("posemamba.poses.skeletons.OTHERS", dict(OTHERS))
    snake = register_skeleton(Skeleton("snake", ("head", "neck", "tail"), (-1, 0, 1), ()))
    config = PoseMambaConfig(skeleton="snake")
    assert (config.joints, config.limb_order) == (3, (0, 0, 1)) and H36M17.limb_order == LIMB_ORDER
    assert PoseMambaConfig(skeleton="snake", limb_order=(0, 1, 2)).limb_order == (0, 1, 2)
    assert PoseMambaConfig.model_validate(config.model_dump()) == config and register_skeleton(snake) is snake
    for wrong, told in (
        (Skeleton("snake", ("head",), (-1,), ()), "registered already"),
        (Skeleton("a b", ("head",), (-1,), ()), "lower-case letters and digits"),
        (Skeleton("ring", ("a", "b"), (1, 0), ()), "lead to no root"),
        (Skeleton("twins", ("a", "a"), (-1, 0), ()), "different names"),
        (Skeleton("far", ("a", "b"), (-1, 0), ((0, 2),)), "not there"),
    ):
        with pytest.raises(PoseMambaError, match=told):
            register_skeleton(wrong)
    with pytest.raises(ValueError, match="unknown skeleton 'worm'"):
        PoseMambaConfig(skeleton="worm")
    with pytest.raises(ValueError, match="skeleton hand21 has 21 joints, not 17"):
        PoseMambaConfig(skeleton="hand21", joints=17)
