"""Other authors' lifters, trained, kept, loaded and scored as PoseMamba is."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")


from posemamba import cli
from posemamba.lifting.lifter import Lifter
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import ARCHITECTURES, load_model, save_model
from posemamba.train import module as module_file
from posemamba.train.callbacks import CheckpointCallback
from posemamba.train.checkpoints import load_weights
from posemamba.train.export import export_for_authors, export_weights
from posemamba.train.initialisation import build_model
from posemamba.train.module import keep_ends_in_float32
from posemamba.train.muon import split_parameters
from posemamba.train.recipe import Recipe
from posemamba.train.run import train
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import read_card

TINY = {
    "motionagformer": {"width": 16, "depth": 2, "frames": 27, "heads": 2, "rep_width": 24, "mlp_ratio": 2},
    "motionbert": {"width": 16, "depth": 2, "frames": 27, "heads": 2, "representation": 24},
}
both = pytest.mark.parametrize("kind", TINY)


def make_recipe(kind: str, **changes) -> Recipe:
    settings = {
        "name": f"tiny_{kind}",
        "model": {"kind": kind, "options": {**TINY[kind], "drop_path": 0.3, "confidence": kind == "motionbert"}},
        "data": {"lengths": {27: 0.7, 9: 0.3}},
        "batch": 2,
        "epochs": 1,
        "steps_per_epoch": 4,
        "lr": 1e-3,
        "ema": 0.9,
        "person_size": 0.25,
        "validate_every": 4,
        "save_every": 2,
        "log_every": 2,
    }
    return Recipe.model_validate({**settings, **changes})


def run(recipe, out, motions, **options):
    options = {"accelerator": "cpu", "progress_bar": False, **options}
    return train(recipe, out, motions=(motions, motions), **options)


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@both
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_killed_and_resumed_is_the_same_as_uninterrupted(kind, optimizer, motions, tmp_path, monkeypatch):
    recipe = make_recipe(kind, optimizer=optimizer)
    whole = run(recipe, tmp_path / "whole", motions)
    assert whole.finished and whole.step == 4 and set(whole.validation_p1) == {"exact", "noisy"}
    original, calls = module_file.total_loss, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("killed")
        return original(*args)

    monkeypatch.setattr(module_file, "total_loss", dies)
    with pytest.raises(RuntimeError, match="killed"):
        run(recipe, tmp_path / "cut", motions)
    cut = run(recipe, tmp_path / "cut", motions)
    expected, found = load_weights(whole.weights)[0], load_weights(cut.weights)[0]
    assert cut.finished and cut.validation_p1 == whole.validation_p1
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.slow
@both
def test_a_run_is_exported_loaded_lifted_and_named(kind, motions, tmp_path, capsys):
    result = run(make_recipe(kind), tmp_path / "run", motions)
    assert result.training_seconds > 0
    kept = load_weights(tmp_path / "run" / "weights.pt")[0]
    for half, tolerance in ((False, 0.0), (True, 1e-3)):
        file = tmp_path / f"{half}.safetensors"
        card = export_weights(tmp_path / "run" / "weights.pt", file, half=half)
        model = load_model(file)
        assert type(model) is ARCHITECTURES[kind].model and not model.training
        for name, tensor in model.state_dict().items():
            assert (tensor.double() - kept[name].double()).abs().max() <= tolerance * kept[name].abs().max(), name
            assert tensor.dtype == kept[name].dtype
        assert card["model"] == read_card(file)["model"] == kind and card["recipe"]["model"]["kind"] == kind
        assert card["training_minutes"] == pytest.approx(result.training_seconds / 60, abs=0.006)
    lifter = Lifter.from_pretrained(tmp_path / "False.safetensors", device="cpu")
    assert lifter.window == 27 and lifter.person_size == 0.25

    file = str(tmp_path / "False.safetensors")
    assert cli.main(["info", "--weights", file]) == 0
    said = capsys.readouterr().out
    parameters = sum(p.numel() for p in model.parameters())
    assert f"model: {kind}" in said and f"{parameters:,} parameters, " in said
    with pytest.raises(PoseMambaError, match=f"weights of a {kind}, not of a PoseMamba"):
        PoseMamba.from_pretrained(file)
    with pytest.raises(PoseMambaError, match=f"weights of a {ARCHITECTURES[kind].label}; the authors' format"):
        export_for_authors(file, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


@both
@pytest.mark.parametrize("frames", [1, *(pytest.param(f, marks=pytest.mark.slow) for f in (20, 70))])
def test_the_command_lifts_clips_of_any_length(kind, frames, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    save_model(
        tmp_path / "tiny.safetensors", ARCHITECTURES[kind].model.preset(ARCHITECTURES[kind].sizes[0], **TINY[kind]), {}
    )
    monkeypatch.chdir(tmp_path)
    xy = 500 + 100 * np.random.default_rng(0).standard_normal((frames, 17, 2))
    np.savez("walk.npz", xy=xy.astype(np.float32), fps=25.0, image_size=np.array([1000, 1000]))
    assert cli.main(["lift", "walk.npz", "-o", "out", "--weights", "tiny.safetensors", "--skeleton", "h36m17"]) == 0
    (poses,) = (tmp_path / "out").rglob("poses.npz")
    assert np.load(poses)["xyz"].shape == (frames, 17, 3)
    assert cli.main(["show", "scan-map", str(poses), "--weights", "tiny.safetensors", "-o", "a.png"]) == 2
    assert f"weights of a {ARCHITECTURES[kind].label}, which has no scans to show" in capsys.readouterr().err


@both
def test_a_step_moves_every_parameter(kind, motions):
    from posemamba.data.mocap.clips import MocapSource
    from posemamba.data.mocap.options import MocapOptions

    torch.manual_seed(0)
    model = ARCHITECTURES[kind].model.preset(ARCHITECTURES[kind].sizes[0], **TINY[kind])
    source = MocapSource(motions, MocapOptions(lengths={27: 1}), 0, torch.device("cpu"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(2):
        clips = source.batch(step, 2)
        optimizer.zero_grad()
        (model(clips.input) - clips.target).norm(dim=-1).mean().backward()
        still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        assert not still, (step, still)
        optimizer.step()


@both
def test_muon_takes_the_matrices_of_blocks_and_leaves_embedding_gates_and_head(kind):
    model = ARCHITECTURES[kind].model.preset(ARCHITECTURES[kind].sizes[0], **TINY[kind])
    names = {id(p): name for name, p in model.named_parameters()}
    matrices, others = ({names[id(p)] for p in group} for group in split_parameters(model))
    assert not matrices & others and matrices | others == set(names.values())
    hidden = {"motionagformer": r"rep_logit\.fc", "motionbert": r"pre_logits\.fc"}[kind]
    layer = r"(qkv|proj|U|V|fc1|fc2)"
    expected = re.compile(rf"(layers|blocks_st|blocks_ts)\.\d+\..*\b{layer}\.weight|{hidden}\.weight")
    assert matrices == {name for name in names.values() if expected.fullmatch(name)}
    assert len(matrices) == 2 * 4 * 4 + 1  # two layers, four blocks of four matrices in each, and the representation
    assert {"joints_embed.weight", "head.weight"} < others


@pytest.mark.slow
@both
def test_compiled_it_is_the_same_and_ends_stay_in_float32(kind):
    from torch._dynamo.testing import CompileCounterWithBackend

    torch._dynamo.reset()
    torch.manual_seed(0)
    options = {**TINY[kind], "depth": 3, "frames": 9}
    plain, fast = (ARCHITECTURES[kind].model.preset(ARCHITECTURES[kind].sizes[0], **options) for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    for model in (plain, fast):
        keep_ends_in_float32(model)
    counter = CompileCounterWithBackend("eager")
    fast.compile_layers(backend=counter)
    grads = []
    for half in (False, True):
        for model in (plain, fast):
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                y = model(torch.randn(2, 9, 17, 2))
            assert y.dtype == torch.float32
            model.zero_grad()
            y.square().mean().backward()
            grads.append([p.grad.clone() for p in model.parameters()])
        torch.testing.assert_close(grads[-1], grads[-2])
    sizes = [len(graph.graph.nodes) for graph in counter.graphs]
    # whole layers, once for all three (MotionBERT has two kinds), in float32 and under autocast
    assert len(sizes) == {"motionagformer": 2, "motionbert": 4}[kind] and min(sizes) > 30
    assert list(fast.state_dict()) == list(plain.state_dict())


@both
def test_a_run_of_another_kind_is_not_gone_on_with(kind, motions, tmp_path):
    run(make_recipe(kind), tmp_path, motions, max_minutes=0.0)
    other = next(name for name in TINY if name != kind)
    with pytest.raises(PoseMambaError, match="was made with model = "):
        run(make_recipe(other), tmp_path, motions)


@both
def test_it_starts_from_weights_of_its_kind(kind, shared, tmp_path):
    theirs = shared(
        "parity", {"motionagformer": "motionagformer_tiny.pth.tr", "motionbert": "motionbert_tiny.bin"}[kind]
    )
    given = ARCHITECTURES[kind].model.from_pretrained(theirs, heads=4)
    options = given.config.model_dump(exclude={"drop_path"})
    model = build_model(make_recipe(kind, model={"kind": kind, "options": options}, start_from=str(theirs)))
    assert equal(model, given)
    save_model(tmp_path / "ours.safetensors", PoseMamba.preset("s", width=16, depth=1, frames=27), {})
    with pytest.raises(
        PoseMambaError, match=f"weights of a PoseMamba of width 16, .* model is a {ARCHITECTURES[kind].label}"
    ):
        build_model(make_recipe(kind, start_from=str(tmp_path / "ours.safetensors")))


# --- what a start adapts


def test_motionbert_starts_with_the_places_of_the_first_frames(tmp_path, capsys):
    torch.manual_seed(0)
    given = ARCHITECTURES["motionbert"].model.preset("base", **TINY["motionbert"]).eval()
    save_model(tmp_path / "given.safetensors", given, {})
    changes = {"model": {"kind": "motionbert", "options": {**TINY["motionbert"], "frames": 9}}}
    recipe = make_recipe(
        "motionbert", **changes, data={"lengths": {9: 1}}, start_from=str(tmp_path / "given.safetensors")
    )
    x = torch.randn(2, 9, 17, 2)
    with torch.no_grad():
        assert torch.equal(build_model(recipe).eval()(x), given(x))
    said = capsys.readouterr().out
    assert "first 9 of 27 frames" in said and "confidence" not in said
    sure = {"model": {"kind": "motionbert", "options": {**TINY["motionbert"], "frames": 9, "confidence": True}}}
    build_model(Recipe.model_validate({**recipe.model_dump(), **sure}))
    assert "confidence True, which was False" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_goes_on_without_the_weights_that_it_started_from(motions, tmp_path, capsys):
    recipe = make_recipe("motionbert")
    save_model(tmp_path / "given.safetensors", build_model(recipe), {})
    recipe = recipe.model_copy(update={"start_from": str(tmp_path / "given.safetensors")})
    assert not run(recipe, tmp_path / "run", motions, max_minutes=0.0).finished
    (tmp_path / "given.safetensors").unlink()
    assert run(recipe, tmp_path / "run", motions).finished
    with pytest.raises(PoseMambaError, match="no weights"):
        run(recipe, tmp_path / "another", motions)


# --- a budget in minutes


class Clock:
    """Time passes in training steps: so many seconds a step, and a minute in each validation."""

    def __init__(self, monkeypatch, seconds: float = 6.0) -> None:
        self.now = 1000.0
        loss, scores = module_file.total_loss, module_file.LiftingModule.validation_step

        def step(*args):
            self.now += seconds
            return loss(*args)

        def score(*args):
            self.now += 60
            return scores(*args)

        monkeypatch.setattr(module_file, "total_loss", step)
        monkeypatch.setattr(module_file.LiftingModule, "validation_step", score)

    def __call__(self) -> float:
        return self.now


def rates(out) -> list[float]:
    """The learning rates of the logged steps."""
    found = {}
    for path in sorted(out.glob("logs/from_step_*/metrics.csv"), key=lambda p: int(p.parent.name.split("_")[-1])):
        header, *lines = [line.split(",") for line in path.read_text().splitlines()]
        for line in lines:
            if line[header.index("lr")]:
                found[int(line[header.index("step")])] = float(line[header.index("lr")])
    return [found[step] for step in sorted(found)]


@pytest.mark.slow
def test_a_budget_ends_the_run_and_leads_the_schedule(motions, tmp_path, monkeypatch):
    recipe = make_recipe(
        "motionbert", data={"lengths": {27: 1}}, schedule="cosine", budget_minutes=1.0, validate_every=4, log_every=1
    )
    result = run(recipe, tmp_path, motions, clock=Clock(monkeypatch))
    # the first step compiles and is not counted, ten of 6 seconds are; validation counts for nothing
    assert result.finished and result.step == 11 and result.training_seconds == 60
    assert set(result.validation_p1) == {"exact", "noisy"} and result.step > recipe.total_steps
    seconds = [0, 0, *range(6, 60, 6)]
    assert rates(tmp_path) == pytest.approx([recipe.lr_at(step, s) for step, s in enumerate(seconds)])
    again = run(recipe, tmp_path, motions)
    assert again.finished and again.step == 11 and again.training_seconds == 60
    longer = run(recipe.model_copy(update={"budget_minutes": 1.2}), tmp_path, motions, clock=Clock(monkeypatch, 3.0))
    assert longer.finished and longer.training_seconds >= 72 and longer.step > 11


@pytest.mark.slow
def test_a_budget_counts_the_time_between_steps_in_which_a_progress_bar_takes_its_time(motions, tmp_path, monkeypatch):
    recipe = make_recipe("motionbert", data={"lengths": {27: 1}}, budget_minutes=1.0, save_every=1)
    clock = Clock(monkeypatch)
    shown = module_file.pl.callbacks.TQDMProgressBar.on_train_batch_end

    def waits(*args):
        clock.now += 2
        return shown(*args)

    monkeypatch.setattr(module_file.pl.callbacks.TQDMProgressBar, "on_train_batch_end", waits)
    result = run(recipe, tmp_path, motions, clock=clock, progress_bar=True)
    # steps of 6 and 2 seconds; where a validation follows, every fourth time, the device has been waited for already
    assert result.finished and result.step == 9 and result.training_seconds == 8 * 6 + 6 * 2


@pytest.mark.slow
def test_a_budget_goes_on_from_the_time_that_was_spent(motions, tmp_path, monkeypatch):
    recipe = make_recipe(
        "motionbert", data={"lengths": {27: 1}}, schedule="cosine", budget_minutes=1.0, log_every=1, save_every=1
    )
    recipe = recipe.model_copy(update={"validation": "last"})
    clock = Clock(monkeypatch)
    whole = run(recipe, tmp_path / "whole", motions, clock=clock)
    assert whole.finished and whole.validation_p1  # validated once, at the end
    original = module_file.total_loss

    def dies(*args):
        if len(steps) == 5:
            raise RuntimeError("killed")
        steps.append(1)
        return original(*args)

    steps: list[int] = []
    monkeypatch.setattr(module_file, "total_loss", dies)
    with pytest.raises(RuntimeError, match="killed"):
        run(recipe, tmp_path / "cut", motions, clock=clock)
    monkeypatch.setattr(module_file, "total_loss", original)
    cut = run(recipe, tmp_path / "cut", motions, clock=clock)
    assert cut.finished and cut.training_seconds == 60
    assert cut.step == whole.step + 1  # the first step of each call is not counted
    expected = [recipe.lr_at(step, s) for step, s in enumerate([0, 0, 6, 12, 18, 24, 24, *range(30, 60, 6)])]
    assert rates(tmp_path / "cut") == pytest.approx(expected)


def test_several_processes_take_the_time_of_the_first(tmp_path):
    """Each has a clock and clips of its own; what the schedule and the end depend on is the same in all, always."""
    recipe = make_recipe("motionbert", budget_minutes=1.0)
    ranks, said = [], {}
    for seconds in (1.0, 2.5):
        clock = SimpleNamespace(now=0.0, seconds=seconds)
        callback = CheckpointCallback(tmp_path, 0.0, None, lambda clock=clock: clock.now)
        module = SimpleNamespace(recipe=recipe, training_seconds=0.0, clip_frames=27)

        ranks.append((clock, callback, module))
    strategy = SimpleNamespace(broadcast=lambda value: said.setdefault(trainer.global_step, value))  # the first's
    counted = []
    for step in range(1, 41):
        trainer = SimpleNamespace(global_step=step, world_size=2, strategy=strategy)
        for clock, callback, module in ranks:
            clock.now += clock.seconds
            callback._count(trainer, module)
            callback._mark = clock.now
        counted.append({module.training_seconds for _, _, module in ranks})
    assert all(len(values) == 1 for values in counted)
    assert [values.pop() for values in counted[8::10]] == [0, 9, 19, 29]  # the first step is not counted
