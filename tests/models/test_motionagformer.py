"""MotionAGFormer: published sizes, its graphs, its authors' checkpoints, and one-line refusals of all else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from posemamba.models.motionagformer import MotionAGFormer, MotionAGFormerConfig, bone_graph, similarity_graph
from posemamba.utils.errors import PoseMambaError

TINY = MotionAGFormerConfig(width=16, depth=2, frames=5, heads=2, rep_width=24, mlp_ratio=2)


@pytest.fixture
def model() -> MotionAGFormer:
    """A small model whose every part tells: released scales of 1e-5 would hide most of it."""
    torch.manual_seed(0)
    model = MotionAGFormer(TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def save_checkpoint(path: Path, state: dict[str, Tensor]) -> Path:
    """As the authors' training saves it."""
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "lr": 1e-4, "optimizer": {}, "model": prefixed, "min_mpjpe": 40.0}, path)
    return path


def refusal(path: Path, heads: int = 2, neighbours: int = 2) -> str:
    with pytest.raises(PoseMambaError) as caught:
        MotionAGFormer.from_pretrained(path, heads, neighbours)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize(("size", "count"), [("l", 19_007_111), ("b", 11_723_811), ("s", 4_825_543)])
def test_parameters_are_as_many_as_published(size: str, count: int) -> None:
    with torch.device("meta"):
        model = MotionAGFormer.preset(size, frames=243)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_published_sizes() -> None:
    sizes = {size: MotionAGFormerConfig.preset(size) for size in ("xs", "s", "b", "l")}
    assert {s: (c.depth, c.width, c.frames) for s, c in sizes.items()} == {
        "xs": (12, 64, 27),
        "s": (26, 64, 81),
        "b": (16, 128, 243),
        "l": (26, 128, 243),
    }
    assert {(c.heads, c.neighbours, c.rep_width, c.mlp_ratio) for c in sizes.values()} == {(8, 2, 512, 4)}


def test_bone_graph_is_the_released_one() -> None:
    graph = bone_graph()
    assert int(graph.sum()) == 2 * 16 - 3 and graph.diagonal().sum() == 0
    assert {(int(i), int(j)) for i, j in (graph != graph.T).nonzero() if graph[i, j]} == {(4, 0), (11, 8), (14, 8)}


def test_similarity_graph_keeps_ties() -> None:
    x = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]])
    expected = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert torch.equal(similarity_graph(x, 2)[0], expected)


def test_without_confidence_all_joints_are_certain(model: MotionAGFormer) -> None:
    x = torch.randn(2, 5, 17, 2)
    with torch.no_grad():
        y = model(x)
        assert y.shape == (2, 5, 17, 3)
        assert torch.equal(y, model(torch.cat((x, torch.ones(2, 5, 17, 1)), dim=-1)))


def test_frames_of_a_short_clip_are_repeated(model: MotionAGFormer) -> None:
    x = torch.randn(2, 3, 17, 2)
    with torch.no_grad():
        assert torch.equal(model(x), model(x[:, [0, 0, 1, 1, 2]])[:, [0, 2, 4]])
        assert torch.equal(model(x[:, :1]), model(x[:, [0] * 5])[:, :1])


def test_the_graph_of_frames_is_the_same_in_half_precision() -> None:
    """A joint that moves slowly: in bfloat16 its features in neighbouring frames would be equally similar to all."""
    torch.manual_seed(0)
    x = torch.nn.functional.layer_norm(torch.randn(3, 1, 64) + 0.05 * torch.randn(3, 81, 64).cumsum(1), (64,))
    expected = similarity_graph(x, 2)
    assert (expected.sum(-1) == 2).float().mean() > 0.99
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(similarity_graph(x, 2), expected)
        rounded = x @ x.mT
    dense = (rounded >= rounded.topk(2, dim=-1).values[..., -1:]).sum(-1).float().mean()
    assert dense > 2.5, dense  # why


def test_stochastic_depth_is_the_clips_and_off_in_evaluation() -> None:
    torch.manual_seed(0)
    model = MotionAGFormer(TINY.model_copy(update={"drop_path": 0.6, "depth": 1}))
    for name, parameter in model.named_parameters():
        if "layer_scale" in name:
            torch.nn.init.ones_(parameter)
    block, x = model.layers[0].att_temporal, torch.randn(8, 17, 5, 16)  # type: ignore[union-attr,index]
    added = (block.train()(x.flatten(0, 1), 8) - x.flatten(0, 1)).unflatten(0, (8, 17)).abs().sum((2, 3))
    skipped = added == 0  # both branches
    assert (skipped.all(1) | ~skipped.any(1)).all() and 0 < skipped[:, 0].sum() < 8
    whole = block.eval()(x.flatten(0, 1), 8) - x.flatten(0, 1)
    assert (whole.abs().sum((1, 2)) > 0).all()


@pytest.mark.parametrize("shape", [(1, 6, 17, 2), (1, 0, 17, 2), (1, 5, 16, 2), (1, 5, 17, 4), (5, 17, 2)])
def test_other_inputs_are_refused(model: MotionAGFormer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="5 frames, 17 joints"):
        model(torch.zeros(shape))


def test_gradient_reaches_every_parameter(model: MotionAGFormer) -> None:
    model.train()(torch.randn(2, 5, 17, 2)).square().mean().backward()
    unmoved = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not unmoved


def test_what_is_saved_is_read_again(model: MotionAGFormer, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "best_epoch.pth.tr", model.state_dict())
    again = MotionAGFormer.from_pretrained(path, heads=2)
    assert again.config == TINY and not again.training
    x = torch.randn(1, 5, 17, 3)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
        for heads, neighbours in ((4, 2), (2, 3)):
            other = MotionAGFormer.from_pretrained(str(path), heads, neighbours)
            assert not torch.allclose(other(x), model(x))


def test_a_truncated_file_is_refused_wherever_it_ends(model: MotionAGFormer, tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path / "w.pth.tr", model.state_dict()).read_bytes()
    cut = tmp_path / "cut.pth.tr"
    for share in (0, 0.001, 0.3, 0.9, 0.999):
        cut.write_bytes(whole[: int(len(whole) * share)])
        refusal(cut)


def test_what_does_not_fit_is_named(model: MotionAGFormer, tmp_path: Path) -> None:
    path, state = tmp_path / "w.pth.tr", model.state_dict()
    save_checkpoint(path, {name: tensor for name, tensor in state.items() if name != "norm.bias"})
    assert "missing 'norm.bias'" in refusal(path)
    save_checkpoint(path, {**state, "layers.1.graph_temporal.mixer.branches": torch.zeros(3)})
    assert "extra 'layers.1.graph_temporal.mixer.branches'" in refusal(path)
    save_checkpoint(path, {**state, "pos_embed": torch.zeros(1, 16, 16)})
    assert "'pos_embed' is (1, 16, 16), expected (1, 17, 16)" in refusal(path)
    save_checkpoint(path, {**state, "norm.bias": torch.full((16,), float("nan"))})
    assert "NaN" in refusal(path)
    save_checkpoint(path, {**state, "rep_logit.fc.bias": torch.tensor(1.0)})
    assert "odd or missing" in refusal(path)
    save_checkpoint(path, state)
    assert "width 16 is not a multiple of the 3 heads" in refusal(path, heads=3)
    assert "6 neighbours among 5 frames" in refusal(path, neighbours=6)
    assert "heads" in refusal(path, heads=0)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are not weights")
    torch.save([1, 2, 3], tmp_path / "list.bin")
    torch.save({"model_pos": {}}, tmp_path / "other.bin")
    torch.save({"model": {}}, tmp_path / "empty.bin")
    torch.save({"model": {1: torch.zeros(3)}}, tmp_path / "number.bin")
    torch.save({"model": {"a": torch.zeros(3)}}, tmp_path / "foreign.bin")
    for name in ("notes.txt", "list.bin", "other.bin", "empty.bin", "number.bin", "foreign.bin"):
        refusal(tmp_path / name)
    assert "'model'" in refusal(tmp_path / "other.bin")
    assert "no such file" in refusal(tmp_path / "nothing.bin")
