"""Lifters of other authors: their numbers and sizes, their checkpoints or a refusal, training's questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from posemamba.models.hgmamba import PARTS as HYPEREDGES
from posemamba.models.hgmamba import HGMamba, HGMambaConfig
from posemamba.models.mixste import MixSTE, MixSTEConfig
from posemamba.models.motionagformer import MotionAGFormer, MotionAGFormerConfig
from posemamba.models.motionbert import MotionBERT, MotionBERTConfig
from posemamba.models.peer import Peer
from posemamba.models.registry import load_model, save_model
from posemamba.models.stcformer import PARTS, STCFormer, STCFormerConfig
from posemamba.poses.skeletons import LIMBS
from posemamba.utils.errors import PoseMambaError

TINY = {
    MixSTE: ("mixste_tiny.bin", MixSTEConfig(width=32, depth=2, frames=9, heads=4), 4),
    STCFormer: ("stcformer_tiny.pth", STCFormerConfig(width=32, depth=2), 8),
    HGMamba: ("hgmamba_tiny.pth.tr", HGMambaConfig(width=32, depth=2, frames=9, rep_width=24), 8),
    MotionBERT: (
        "motionbert_tiny.bin",
        MotionBERTConfig(width=32, representation=48, depth=2, heads=4, frames=27),
        4,
    ),
    MotionAGFormer: (
        "motionagformer_tiny.pth.tr",
        MotionAGFormerConfig(width=32, depth=3, frames=27, heads=4, rep_width=48),
        4,
    ),
}
each = pytest.mark.parametrize("kind", TINY, ids=lambda kind: kind.title)


def tiny(kind: type[Peer], **changes: object) -> Peer:
    torch.manual_seed(0)
    config = TINY[kind][1]
    return kind(type(config).model_validate({**config.model_dump(), "frames": 9, **changes}))


@each
def test_agrees_with_the_authors_code(kind: type[Peer], shared: Callable[..., Path]) -> None:
    file, config, heads = TINY[kind]
    model = kind.from_pretrained(shared("parity", file), heads=heads)
    assert model.config == config.model_copy(update={"drop_path": model.config.drop_path}) and not model.training
    numbers = f"{file.split('.')[0]}.npz"
    with np.load(shared("parity", numbers), allow_pickle=False) as kept, torch.no_grad():
        output = model(torch.from_numpy(kept["input"])).numpy()
        np.testing.assert_allclose(output, kept["output"], rtol=0, atol=1e-5)


def test_published_sizes() -> None:
    """As the authors' code counts them; the papers round: 33.6 million without the embeddings of places, 4.7, 18.9."""
    with torch.device("meta"):
        models = (MixSTE(), STCFormer(), STCFormer.preset("l"), *(HGMamba.preset(size) for size in ("xs", "s", "b")))
        counts = [sum(p.numel() for p in m.parameters()) for m in models]
        mixste = MixSTE()
        places = mixste.Spatial_pos_embed.numel() + mixste.Temporal_pos_embed.numel()
    assert counts == [33_783_811, 4_748_000, 18_933_184, 2_877_087, 6_194_157, 14_200_403]
    assert counts[0] - places == 33_650_691


@each
def test_training_asks_and_every_parameter_learns(kind: type[Peer]) -> None:
    model = tiny(kind, confidence=True).train()
    with torch.no_grad():  # its weight is 1e-4 and it is left out at times
        model(torch.randn(2, 9, 17, 3)).square().sum()
    model.eval()(torch.randn(2, 9, 17, 3)).square().sum().backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    unused = (".V.weight", ".V.bias", ".alpha1", ".alpha2")  # of HGMamba's graph of parts, as in the release
    assert not {name for name in idle if not (".graph_spatial." in name and name.endswith(unused))}
    inside = {id(p) for layer in model.full_precision_layers() for p in layer.parameters()}
    matrices = model.matrix_parameters()
    assert len(matrices) >= 4 * len(model.blocks()) and not inside & set(map(id, matrices))


@each
def test_without_places_and_with_fewer_frames(kind: type[Peer]) -> None:
    plain, centred = tiny(kind).eval(), tiny(kind, centred=True).eval()
    x = torch.randn(2, 4, 17, 2)
    with torch.no_grad():
        moved = centred(x + torch.tensor([0.3, -0.2]))
        torch.testing.assert_close(moved, plain(x - x.mean((1, 2), keepdim=True)))
    for shape in ((1, 10, 17, 2), (1, 0, 17, 2), (1, 9, 16, 2), (1, 9, 17, 4), (9, 17, 2)):
        with pytest.raises(ValueError, match=r"expected \(clips, 1 to 9 frames, 17 joints, 2"):
            plain(torch.zeros(shape))


@each
def test_files_of_ours_and_what_is_no_checkpoint(kind: type[Peer], tmp_path: Path) -> None:
    model = tiny(kind).eval()
    save_model(tmp_path / "kept.safetensors", model, {})
    loaded, x = load_model(tmp_path / "kept.safetensors"), torch.randn(1, 9, 17, 2)
    with torch.no_grad():
        assert type(loaded) is kind and torch.equal(loaded(x), model(x))
    with pytest.raises(PoseMambaError, match=f"no such file; expected a checkpoint of {kind.title}"):
        kind.from_pretrained(tmp_path / "none")
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    damaged = dict(state)
    damaged.pop(next(name for name in damaged if name.endswith("proj.bias")))
    for content, told in ((damaged, "missing"), ({"a": torch.ones(2)}, f"not a {kind.title} of 1 parameters")):
        torch.save({"model_pos": content}, tmp_path / "damaged.bin")
        with pytest.raises(PoseMambaError, match=told) as caught:
            kind.from_pretrained(tmp_path / "damaged.bin")
        assert "\n" not in str(caught.value)


def test_settings_that_no_model_has() -> None:
    with pytest.raises(ValueError, match="does not divide into 5 heads"):
        MixSTEConfig(width=32, heads=5)
    with pytest.raises(ValueError, match="for each of two axes"):
        STCFormerConfig(width=24, heads=8)
    for config in (STCFormerConfig, HGMambaConfig, MotionAGFormerConfig):
        with pytest.raises(ValueError, match="17 joints, not of 21"):
            config(joints=21)
    for config, widest in ((MotionBERTConfig, "representation"), (MotionAGFormerConfig, "rep_width")):
        with pytest.raises(ValueError, match="a model larger than any"):
            config(**{"width": 8, "heads": 1, widest: 8192})
    assert {joint for part in HYPEREDGES for joint in part} == set(range(17))
    assert [j for j, part in enumerate(PARTS) if part == 1] == list(LIMBS["right leg"])


def test_parts_of_the_body_are_left_out_in_half_of_the_steps() -> None:
    model = tiny(STCFormer, dropout=0.0, depth=1)
    model.stcformer["stc_block"][0].stc_att.emb.weight.data.mul_(1e4)
    x = torch.randn(1, 3, 17, 2)
    with torch.no_grad():
        outputs = {round(float(model.train()(x).sum()), 3) for _ in range(40)}
    assert len(outputs) > 1


def test_scans_of_shuffled_joints_go_back_to_their_places() -> None:
    """With every step shuffled, joints are scanned in other orders and returned to their own."""
    model = tiny(HGMamba, shuffle=1.0, depth=2)
    layer = model.layers[1]
    x = torch.randn(1, 3, 17, 32)
    with torch.no_grad():
        for block in (layer.mamba_spatial, layer.mamba_temporal):
            block.layer_scale_1.zero_()
        torch.testing.assert_close(layer.train()._scans(x), layer.eval()._scans(x))
        layer.mamba_spatial.layer_scale_1.fill_(1.0)
        assert not torch.allclose(layer.train()._scans(x), layer.eval()._scans(x), atol=1e-4)
