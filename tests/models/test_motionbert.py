"""MotionBERT: published size, checkpoints read strictly or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from posemamba.models.motionbert import MotionBERT, MotionBERTConfig
from posemamba.utils.errors import PoseMambaError

TINY = MotionBERTConfig(width=32, representation=48, depth=2, heads=4, frames=27)


@pytest.fixture
def model() -> MotionBERT:
    torch.manual_seed(0)
    return MotionBERT(TINY).eval()


def save_checkpoint(path: Path, model: MotionBERT, **changed: Tensor | None) -> Path:
    """As the authors' training saves it; `changed` replaces parameters, or with None leaves them out."""
    state = {name: changed.get(name, tensor) for name, tensor in {**model.state_dict(), **changed}.items()}
    state = {f"module.{name}": tensor for name, tensor in state.items() if tensor is not None}
    torch.save({"epoch": 3, "lr": 1e-4, "optimizer": {}, "model_pos": state, "min_loss": 40.0}, path)
    return path


def refusal(path: Path, heads: int = 4) -> str:
    with pytest.raises(PoseMambaError) as caught:
        MotionBERT.from_pretrained(path, heads=heads)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_published_sizes() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in MotionBERT.preset().parameters()) == 42_466_317
        assert round(sum(p.numel() for p in MotionBERT.preset("lite").parameters()) / 1e6) == 16
    assert MotionBERTConfig.preset("base", frames=81) == MotionBERTConfig(
        width=512, representation=512, depth=5, heads=8, mlp_ratio=2, frames=81, joints=17
    )


def test_without_confidence_it_is_one(model: MotionBERT) -> None:
    x = torch.randn(2, 9, 17, 2)
    with torch.no_grad():
        assert torch.equal(model(x), model(torch.cat([x, torch.ones(2, 9, 17, 1)], dim=-1)))
        assert model.represent(x).shape == (2, 9, 17, 48)


@pytest.mark.parametrize("shape", [(1, 28, 17, 3), (1, 0, 17, 3), (1, 9, 16, 3), (1, 9, 17, 4)])
def test_an_input_that_does_not_fit_is_refused(model: MotionBERT, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(clips, 1 to 27 frames, 17 joints"):
        model(torch.zeros(shape))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="does not divide into 5 heads"):
        MotionBERTConfig(width=32, heads=5)


def test_gradient_reaches_every_parameter(model: MotionBERT) -> None:
    model.train()(torch.randn(2, 27, 17, 3)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_both_streams_start_with_the_same_weight(model: MotionBERT) -> None:
    """Swapping the streams of a fresh model changes nothing."""
    x = torch.randn(1, 9, 17, 3)
    with torch.no_grad():
        before = model(x)
        model.blocks_st, model.blocks_ts = model.blocks_ts, model.blocks_st
        torch.testing.assert_close(model(x), before)


def test_a_checkpoint_is_read_as_it_was_saved(model: MotionBERT, tmp_path: Path) -> None:
    config = MotionBERTConfig(width=16, representation=24, depth=3, heads=2, mlp_ratio=4, frames=9, joints=15)
    for saved in (model, MotionBERT(config).eval()):
        path = save_checkpoint(tmp_path / "best_epoch.bin", saved)
        again = MotionBERT.from_pretrained(path, heads=saved.config.heads)
        assert again.config == saved.config and not again.training
        x = torch.randn(1, 5, saved.config.joints, 3)
        with torch.no_grad():
            assert torch.equal(again(x), saved(x))


def test_a_truncated_checkpoint_is_refused(model: MotionBERT, tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path / "whole.bin", model).read_bytes()
    for share in (0, 0.001, 0.3, 0.9, 0.999):
        (tmp_path / "cut.bin").write_bytes(whole[: int(len(whole) * share)])
        refusal(tmp_path / "cut.bin")


def test_what_does_not_fit_is_named(model: MotionBERT, tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    for changed, words in (
        ({"head.bias": None}, "missing 'head.bias'"),
        ({"head.weight": None}, "odd or missing ones (KeyError: 'head.weight')"),
        ({"temp_embed": None}, "(KeyError: 'temp_embed')"),
        ({"head2.bias": torch.zeros(3)}, "extra 'head2.bias'"),
        ({"blocks_st.7.norm1_s.weight": torch.zeros(32)}, "missing 'blocks_st.2."),
        ({"ts_attn.1.weight": torch.zeros(2, 32)}, "'ts_attn.1.weight' is (2, 32), expected (2, 64)"),
        ({"pos_embed": torch.zeros(17)}, "odd"),
        ({"pos_embed": torch.zeros(1, 0, 32)}, "joints: Input should be greater"),
        ({"blocks_st.0.mlp_s.fc1.weight": torch.zeros(64, 0)}, "odd"),
        ({"norm.bias": torch.full((32,), float("nan"))}, "NaN"),
    ):
        save_checkpoint(path, model, **changed)
        assert words in refusal(path), words
    save_checkpoint(path, model)
    assert "does not divide into 5 heads" in refusal(path, heads=5)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are not weights")
    torch.save({"model": {}}, tmp_path / "other.bin")
    torch.save({"model_pos": {"a": torch.zeros(3)}}, tmp_path / "foreign.bin")
    assert "no such file" in refusal(tmp_path / "nothing.bin")
    assert "not a checkpoint" in refusal(tmp_path / "notes.txt")
    assert "alone, found: model" in refusal(tmp_path / "other.bin")
    assert "not a MotionBERT" in refusal(tmp_path / "foreign.bin")
