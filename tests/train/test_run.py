import csv
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from posemamba.train import module as module_file
from posemamba.train import step_graphs as graphs
from posemamba.train.callbacks import CheckpointCallback
from posemamba.train.checkpoints import load_weights
from posemamba.train.recipe import Recipe
from posemamba.train.run import train
from posemamba.train.sources import Mocap
from posemamba.utils.errors import PoseMambaError


class Tiny(nn.Module):
    """A stand-in that also uses random numbers in training, as stochastic depth does."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(34, width), nn.Linear(width, 51)

    def forward(self, x):
        hidden = torch.relu(self.a(x.flatten(2)))
        if self.training:
            hidden = hidden * (torch.rand(len(x), 1, 1) < 0.8)
        return self.b(hidden).unflatten(-1, (17, 3))


@pytest.fixture
def recipe():
    return Recipe(
        data={"lengths": {27: 0.7, 9: 0.3}},
        batch=2,
        epochs=2,
        steps_per_epoch=8,
        schedule="cosine",
        lr=1e-3,
        ema=0.9,
        gradient_clip=1.0,
        loss_unit="body",
        person_size=0.25,
        validate_every=6,
        save_every=3,
        log_every=4,
    )


def run(recipe, out, motions, bar=False, **options):
    torch.manual_seed(0)
    return train(
        recipe,
        out,
        model=Tiny(),
        motions=(motions, motions),
        accelerator="cpu",
        progress_bar=bar,
        **options,
    )


def as_graphs(monkeypatch):
    """Steps as CUDA graphs, whose replay here computes again, with the learning rates that were there, as a graph's."""

    def capture(self, step):
        rates = [group["lr"] for group in self.optimizer.param_groups]

        def replay():
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            step()

        return replay

    monkeypatch.setattr(module_file.LiftingModule, "graphed", True)
    monkeypatch.setattr(graphs.StepGraphs, "_capture", capture)


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_steps_as_graphs_do_what_steps_do(recipe, motions, tmp_path, monkeypatch, optimizer):
    """Learning rates and losses' weights change from step to step, clips have two lengths; a run goes on either way."""
    recipe = recipe.model_copy(update={"optimizer": optimizer, "warmup_steps": 3, "velocity_ramp": 6})
    plain = load_weights(run(recipe, tmp_path / "plain", motions).weights)[0]
    assert run(recipe, tmp_path / "mixed", motions, max_minutes=0.0).step == 1
    with monkeypatch.context() as patch:
        as_graphs(patch)
        graphed = load_weights(run(recipe, tmp_path / "graphed", motions).weights)[0]
        assert [run(recipe, tmp_path / "mixed", motions, max_minutes=0.0).step for _ in range(4)] == [2, 3, 4, 5]
    mixed = load_weights(run(recipe, tmp_path / "mixed", motions).weights)[0]
    for name, value in plain.items():
        torch.testing.assert_close(graphed[name], value, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(mixed[name], value, rtol=1e-5, atol=1e-7)
    metrics = [(tmp_path / each / "logs/from_step_0/metrics.csv").read_text() for each in ("plain", "graphed")]
    rows = [list(csv.DictReader(text.splitlines())) for text in metrics]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
    for row, other in zip(*rows, strict=True):
        shared_names = {k for k in row if row[k] and other.get(k)}
        assert {"loss", "train_mm", "lr"} <= shared_names or any(k.startswith("val_") for k in shared_names)
        for name in shared_names:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4), name


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU: numbers read from tensors."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("graphed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_step_waits_for_nothing_but_to_log(recipe, motions, tmp_path, monkeypatch, graphed):
    """Lightning's own `log` would in every step after one that logs."""
    if graphed:
        as_graphs(monkeypatch)
    often = {"log_every": 5, "epochs": 1, "steps_per_epoch": 17}
    recipe = recipe.model_copy(update={"optimizer": "muon", "save_every": 100, "validate_every": 100, **often})
    waits, counts = Waits(), []
    counted = CheckpointCallback.on_train_batch_end

    def count(self, trainer, module, *rest):
        counted(self, trainer, module, *rest)
        counts.append(waits.count)

    monkeypatch.setattr(CheckpointCallback, "on_train_batch_end", count)
    with waits:
        run(recipe, tmp_path, motions, bar=True)
    steps = [after - before for before, after in pairwise(counts)]
    assert [i for i, number in enumerate(steps[:-1], 1) if number] == [5, 10, 15]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graphed", "harm"),
    [(False, 20), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((True, 20), (False, float("nan"))))],
)
def test_training_that_blows_up_goes_back_and_on_more_slowly(
    recipe, motions, tmp_path, monkeypatch, capsys, graphed, harm
):
    """Also where weights are no numbers any more just before they are to be saved: those of before stay saved."""
    harmed = 19 if harm == 20 else 20
    if graphed:
        as_graphs(monkeypatch)
    often = {"log_every": 1, "save_every": 4, "validate_every": 100, "epochs": 1, "steps_per_epoch": 40}
    calm = {"lr": 1e-4, "schedule": "exponential", "optimizer": "muon", "data": {"lengths": {27: 1}}}
    recipe = Recipe.model_validate({**recipe.model_dump(), **often, **calm})
    stepped, before = module_file.LiftingModule.optimizer_step, {}

    def step(self, *rest):
        stepped(self, *rest)
        if self.global_step == 17:  # the state of step 16 was kept
            before.update({k: v.clone() for k, v in self.model.state_dict().items()})
        if self.global_step == harmed:
            with torch.no_grad():
                for p in self.model.parameters():
                    p.mul_(harm)

    monkeypatch.setattr(module_file.LiftingModule, "optimizer_step", step)

    def rows(out):
        text = (tmp_path / out / "logs/from_step_0/metrics.csv").read_text()
        return [(float(r["train_mm"]), float(r["lr"])) for r in csv.DictReader(text.splitlines()) if r["train_mm"]]

    if harm == 20:
        lost = load_weights(run(recipe, tmp_path / "lost", motions).weights)[0]
        errors = [error for error, _ in rows("lost")]
        assert min(errors[20:]) > 3 * max(errors[:20])
        assert all((lost[name] - value).abs().max() > 0.1 for name, value in before.items())
    else:
        with pytest.raises(PoseMambaError, match="not finite"):
            run(recipe, tmp_path / "lost", motions)
    capsys.readouterr()
    result = run(recipe.model_copy(update={"recover": 2.0}), tmp_path / "found", motions)
    assert "back to the weights of step 16," in capsys.readouterr().out
    found = load_weights(result.weights)[0]
    for name, value in before.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0.02)
    errors, rates = zip(*rows("found"), strict=True)
    assert max(errors[-15:]) < 2 * max(errors[:20])
    assert rates[10] == pytest.approx(1e-4) and rates[-1] == pytest.approx(5e-5)
    kept = torch.load(result.last, weights_only=True)
    assert kept["slower"] == 0.5


@pytest.mark.parametrize(("optimizer", "groups"), [("adamw", [0.3, 0.0]), ("muon", [0.0, 0.3])])
def test_decay_is_of_what_the_recipe_says(recipe, motions, tmp_path, optimizer, groups):
    """This model has linear layers only: Muon has their weights as matrices, and beside them biases, which stay."""
    few = {"weight_decay": 0.3, "optimizer": optimizer, "epochs": 1, "steps_per_epoch": 1}
    for of, expected in (("matrices", groups), ("all", [0.3] * (1 if optimizer == "adamw" else 2))):
        result = run(recipe.model_copy(update={**few, "weight_decay_of": of}), tmp_path / of, motions)
        (state,) = torch.load(result.last, weights_only=True)["optimizer_states"]
        assert [group["weight_decay"] for group in state["param_groups"]] == expected


def test_a_validation_counts_as_a_change_of_the_weights(recipe, motions, tmp_path, monkeypatch):
    """What keeps copies of weights by their versions must see those of now, though averaging may not count them."""

    def uncounted(tensors, others, weight):
        for tensor, other in zip(tensors, others, strict=True):
            tensor.data.lerp_(other, weight)

    monkeypatch.setattr(torch, "_foreach_lerp_", uncounted)
    seen, scored = [], Mocap.score

    def score(self, model, part):
        seen.append((part, [p._version for p in model.parameters()], [p.sum().item() for p in model.parameters()]))
        return scored(self, model, part)

    monkeypatch.setattr(Mocap, "score", score)
    run(recipe, tmp_path, motions)
    first, second = (entry for entry in seen if entry[0] == 0)
    assert all(a != b for a, b in zip(first[2], second[2], strict=True))
    assert all(a < b for a, b in zip(first[1], second[1], strict=True))


def test_killed_and_resumed_is_the_same_as_uninterrupted(recipe, motions, tmp_path, monkeypatch):
    whole = run(recipe, tmp_path / "whole", motions)
    assert whole.finished and whole.step == 16 and set(whole.validation_p1) == {"exact", "noisy"}

    original, calls = module_file.total_loss, []

    def dies(*args):
        calls.append(1)
        if len(calls) in (5, 12):  # in the first epoch, and (three steps again) in the second
            raise RuntimeError("killed")
        return original(*args)

    monkeypatch.setattr(module_file, "total_loss", dies)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            run(recipe, tmp_path / "cut", motions)
    cut = run(recipe, tmp_path / "cut", motions)
    assert cut.finished and cut.validation_p1 == whole.validation_p1
    expected, _, details = load_weights(whole.weights)
    found, _, _ = load_weights(cut.weights)
    assert details["step"] == 16
    assert all(torch.equal(found[k], expected[k]) for k in expected)
    assert (tmp_path / "whole" / "logs" / "from_step_0" / "metrics.csv").stat().st_size > 0

    again = run(recipe, tmp_path / "cut", motions)  # nothing left to do
    assert again.finished and again.step == 16


def test_time_limit_stops_and_keeps_everything(recipe, motions, tmp_path):
    stopped = run(recipe, tmp_path, motions, max_minutes=0.0)
    assert not stopped.finished and stopped.step == 1 and not stopped.validation_p1 and stopped.best is None
    assert stopped.last.exists() and load_weights(stopped.weights)[2]["step"] == 1
    assert run(recipe, tmp_path, motions).finished


def test_a_directory_in_use_is_respected(recipe, motions, tmp_path):
    run(recipe, tmp_path, motions, max_minutes=0.0)
    with pytest.raises(PoseMambaError, match="exists"):
        run(recipe, tmp_path, motions, resume=False)
    with pytest.raises(PoseMambaError, match="seed = 0, the recipe says 3"):
        run(recipe.model_copy(update={"seed": 3}), tmp_path, motions)
    with pytest.raises(PoseMambaError, match="optimizer = 'adamw', the recipe says 'muon'"):
        run(recipe.model_copy(update={"optimizer": "muon"}), tmp_path, motions)
    (tmp_path / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(PoseMambaError, match="not a checkpoint"):
        run(recipe, tmp_path, motions)


def test_a_loss_that_is_not_finite_stops_in_one_line(recipe, motions, tmp_path, monkeypatch):
    monkeypatch.setattr(Tiny, "forward", lambda self, x: self.b.weight.sum() * x.new_full((*x.shape[:3], 3), torch.nan))
    with pytest.raises(PoseMambaError, match="not finite"):
        run(recipe, tmp_path, motions)


def test_weights_that_are_not_finite_are_not_saved(recipe, motions, tmp_path):
    recipe = recipe.model_copy(update={"lr": 1e30, "log_every": 8, "save_every": 3, "gradient_clip": None, "ema": 0.0})
    with pytest.raises(PoseMambaError, match="weights of step 3 are not finite"):
        run(recipe, tmp_path, motions)
    assert not (tmp_path / "last.ckpt").exists()


def test_memory_that_runs_out_says_what_to_lower(recipe, motions, tmp_path, monkeypatch):
    def none_left(self, x):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Tiny, "forward", none_left)
    with pytest.raises(PoseMambaError, match=r"memory ran out: lower batch \(now 2\), or set recompute: true"):
        run(recipe, tmp_path, motions)


def test_embedding_and_head_stay_in_float32_under_autocast():
    model = nn.Module()
    model.head = nn.Linear(4, 3)
    model.full_precision_layers = lambda: (model.head,)
    module_file.keep_ends_in_float32(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.head(torch.randn(2, 4)).dtype == torch.float32
    assert set(model.state_dict()) == {"head.weight", "head.bias"}


@pytest.mark.gpu
def test_trains_on_the_gpu(recipe, motions, tmp_path):
    torch.manual_seed(0)
    quick = recipe.model_copy(update={"precision": "bf16-mixed", "matmul_precision": "high"})
    result = train(quick, tmp_path, motions=(motions, motions), accelerator="gpu", progress_bar=False)
    torch.set_float32_matmul_precision("highest")
    assert result.finished and all(0 < v < 1000 for v in result.validation_p1.values())
