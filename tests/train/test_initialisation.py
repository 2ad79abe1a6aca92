"""What models start from; of other authors' models see test_peers.py."""

import pytest
import torch

from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.train.initialisation import build_model
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError


def test_starts_from_given_weights_of_the_same_model_only(tmp_path):
    small = {"width": 16, "depth": 1, "frames": 27}
    given = PoseMamba.preset("s", **small)
    save_model(tmp_path / "given.safetensors", given, {})
    recipe = Recipe(
        model={"options": {**small, "drop_path": 0.1}},
        data={"lengths": {27: 1}},
        start_from=str(tmp_path / "given.safetensors"),
        seed=9,
    )
    model = build_model(recipe)
    assert model.config.drop_path == 0.1
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[name]), name
    other = recipe.model_copy(update={"model": recipe.model.model_copy(update={"options": {**small, "width": 8}})})
    with pytest.raises(PoseMambaError, match="does not fit a PoseMamba of width 8"):
        build_model(other)


def test_a_start_without_confidence_or_with_more_frames_lifts_as_before(tmp_path, capsys):
    torch.manual_seed(0)
    given = PoseMamba.preset("s", width=16, depth=2, frames=81).eval()
    for parameter in given.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_model(tmp_path / "given.safetensors", given, {})
    options = {"width": 16, "depth": 2, "frames": 27, "confidence": True, "drop_path": 0.0}
    recipe = Recipe(
        model={"options": options}, data={"lengths": {27: 1}}, start_from=str(tmp_path / "given.safetensors")
    )
    model = build_model(recipe).eval()
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "first 27 of 81 frames, confidence begins without influence" in said
    x, sure = torch.randn(2, 27, 17, 2), torch.rand(2, 27, 17, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(torch.cat([x, sure], -1)), given(x), rtol=0, atol=1e-6)
    assert torch.equal(model.Spatial_patch_to_embedding.weight[:, 2], torch.zeros(16))
    ablation = recipe.model.model_copy(update={"options": {**options, "scan_order": "bs_ft", "centred": True}})
    build_model(recipe.model_copy(update={"model": ablation}))
    said = capsys.readouterr().out
    assert "centred True, which was False" in said and "scan_order bs_ft, which was global_local" in said
    longer = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"options": {**options, "frames": 243}})}
    )
    with pytest.raises(PoseMambaError, match=r"'Temporal_pos_embed' is \(1, 81, 16\), expected \(1, 243, 16\)"):
        build_model(longer)
    save_model(tmp_path / "sure.safetensors", model, {})
    blind = recipe.model.model_copy(update={"options": {**options, "confidence": False}})
    changes = {"model": blind, "start_from": str(tmp_path / "sure.safetensors")}
    with pytest.raises(PoseMambaError, match=r"set model\.options\.confidence: true"):
        build_model(recipe.model_copy(update=changes))
