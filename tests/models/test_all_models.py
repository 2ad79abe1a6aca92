"""The models of the harness: named, built, counted."""

from __future__ import annotations

import pytest
import torch

from posemamba.models.counting import count_matrix_products
from posemamba.models.layers import drop_path
from posemamba.models.motionbert import MotionBERT
from posemamba.models.registry import ARCHITECTURES, architecture_of, describe


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_kind_builds_all_its_sizes(name: str) -> None:
    kind = ARCHITECTURES[name]
    for size in kind.sizes:
        with torch.device("meta"):
            model = kind.model.preset(size, frames=9, drop_path=0.1, confidence=True)
        assert architecture_of(model) == name and isinstance(model.config, kind.config)
        assert model.config.frames == 9 and model.config.joints == 17
        assert describe(model.config).startswith(f"a {kind.label} of width {model.config.width}, ")
        assert kind.positional_embedding is None or model.get_parameter(kind.positional_embedding).shape[1] == 9


@pytest.mark.parametrize("name", ["motionagformer", "motionbert"])
@pytest.mark.parametrize("frames", [9, 4])
def test_a_centred_model_does_not_see_where_in_the_picture(name: str, frames: int) -> None:
    torch.manual_seed(0)
    options = {"width": 16, "depth": 1, "heads": 2, "frames": 9}
    plain, centred = (
        ARCHITECTURES[name].model.preset(ARCHITECTURES[name].sizes[0], **options, centred=c).eval()
        for c in (False, True)
    )
    centred.load_state_dict(plain.state_dict())
    x, sure = torch.randn(2, frames, 17, 2), torch.rand(2, frames, 17, 1)
    moved = torch.cat([x + torch.tensor([0.3, -0.2]), sure], -1)
    middle = torch.cat([x - x.mean((1, 2), keepdim=True), sure], -1)
    with torch.no_grad():
        torch.testing.assert_close(centred(moved), plain(middle))
        assert not torch.allclose(plain(moved), plain(middle), atol=1e-4)


def test_matrix_products_are_those_of_paper_and_pencil() -> None:
    E, T, J, H = 32, 9, 17, 64  # width, frames, joints, hidden width
    model = MotionBERT.preset("base", width=E, representation=E, depth=1, heads=4, frames=T)
    block = 2 * (4 * E * E + 2 * E * H) + 2 * E * (J + T)  # two axes; keys and values of a joint's and frame's fellows
    token = 3 * E + 2 * block + 4 * E + E * E + 3 * E
    assert count_matrix_products(model, T) == (sum(p.numel() for p in model.parameters()), T * J * token)


def test_stochastic_depth_keeps_the_mean() -> None:
    torch.manual_seed(0)
    branch = torch.ones(4000, 2, 3)
    assert drop_path(branch, 0.0) is branch
    dropped = drop_path(branch, 0.25)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert (drop_path(branch, 0.25, 1000).view(1000, -1).std(1) == 0).all()  # four groups of each clip go together


def test_depth_is_dropped_from_motionbert_in_training_only() -> None:
    torch.manual_seed(0)
    options = {"width": 16, "representation": 16, "depth": 3, "heads": 2, "frames": 5}
    model = MotionBERT.preset("base", **options, drop_path=0.5)
    assert [block.drop_path for block in model.blocks_ts] == [0, 0.25, 0.5]
    x = torch.randn(2, 5, 17, 2)
    plain = MotionBERT.preset("base", **options)
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(x), plain(x))
        assert not torch.allclose(model.train()(x), plain(x))
