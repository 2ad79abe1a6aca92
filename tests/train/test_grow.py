"""A grown model lifts as the one that it grew from, and its copies do not stay copies."""

import pytest
import torch

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import save_model
from posemamba.train.grow import grow
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError


def uneven(**config):
    """Norms not 1, biases and embeddings not 0, so that nothing that is put in the wrong place stays unseen."""
    torch.manual_seed(0)
    model = PoseMamba.preset("s", **{"width": 16, "depth": 2, "frames": 9, "drop_path": 0.0, **config}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def grown(model, **changes):
    config = PoseMambaConfig.model_validate({**model.config.model_dump(), **changes})
    larger = PoseMamba(config).eval()
    larger.load_state_dict(grow(model.state_dict(), model.config, config))
    return larger


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "config"),
    [
        pytest.param(32, {}, id="twice"),
        pytest.param(
            48,
            {"confidence": True, "centred": True, "mlp_ratio": 3},
            id="thrice, step sizes of higher rank",
            marks=pytest.mark.slow,
        ),
        pytest.param(32, {"scan_order": "bs_ft"}, id="another order", marks=pytest.mark.slow),
    ],
)
def test_wider_it_gives_the_same(width, config):
    small = uneven(**config)
    large = grown(small, width=width)
    x = torch.randn(2, 9, 17, small.config.channels, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(large.double()(x), small.double()(x), rtol=0, atol=1e-6)


def test_training_tells_copies_apart():
    large = grown(uneven(), width=32).train()
    optimizer = torch.optim.AdamW(large.parameters(), lr=1e-3)
    for _ in range(2):
        large(torch.randn(2, 9, 17, 2)).square().mean().backward()
        optimizer.step()
    for name, parameter in large.named_parameters():
        if name.startswith("head.1"):  # numbers of the output have no copies
            continue
        if name.endswith("in_proj.weight"):
            parameter = parameter[: len(parameter) // 2]
        elif name.endswith(("A_logs", "Ds")):
            parameter = parameter.unflatten(0, (4, -1))[0]
        axis = {"dt_projs_weight": 1, "dt_projs_bias": 1, "x_proj_weight": 2, "pos_embed": 2}
        first, second = parameter.chunk(2, next((a for end, a in axis.items() if name.endswith(end)), 0))
        apart = (first - second).abs().amax()
        assert apart > 1e-6, name


def test_deeper_every_pair_keeps_its_weights_and_the_new_ones_add_nothing():
    small = uneven()
    large = grown(small, depth=6)
    for kind in ("STEblocks", "TTEblocks"):
        for i, block in enumerate(getattr(large, kind)):
            theirs = getattr(small, kind)[i // 3].state_dict()
            x = torch.randn(1, 9, 17, 16)
            if i % 3:
                assert torch.equal(block(x), x)
            else:
                assert all(torch.equal(v, theirs[n]) for n, v in block.state_dict().items())
    large(torch.randn(1, 9, 17, 2)).square().mean().backward()
    silent = large.TTEblocks[1]
    assert silent.op.out_proj.weight.grad.any() and silent.mlp.fc2.weight.grad.any()  # they begin to learn


def test_a_recipe_starts_from_smaller_weights(tmp_path, capsys):
    small = uneven()
    save_model(tmp_path / "small.safetensors", small, {})
    options = {"width": 32, "depth": 2, "frames": 9, "confidence": True}
    recipe = Recipe(
        model={"options": options}, data={"lengths": {9: 1}}, start_from=str(tmp_path / "small.safetensors")
    )
    model = build_model(recipe).eval()
    assert "confidence begins without influence, grown from width 16 and 2 pairs of blocks" in capsys.readouterr().out
    x = torch.rand(2, 9, 17, 3)
    with torch.no_grad():
        torch.testing.assert_close(model(x), small(x[..., :2]), rtol=0, atol=1e-5)
    for change, said in (
        ({"width": 24}, "small.safetensors: weights of 16 channels grow to multiples of 16, not to 24"),
        ({"width": 16, "depth": 5}, "weights of 2 pairs of blocks grow to multiples of 2, not to 5"),
    ):
        other = recipe.model.model_copy(update={"options": {**options, **change}})
        with pytest.raises(PoseMambaError, match=said):
            build_model(recipe.model_copy(update={"model": other}))
