"""The race: complete records, honest rows for those who fail, nothing lost when it is killed."""

from __future__ import annotations

import gc
import io
import json
import types
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo import eval_frame

from posemamba import cli
from posemamba.bench import bench as bench_module
from posemamba.bench import runner as runner_module
from posemamba.bench import timing
from posemamba.bench.bench import Bench
from posemamba.bench.plan import plan
from posemamba.bench.report import Report, Row, plain_table, read_reports, rich_table
from posemamba.bench.specs import ModelSpec, parse_spec
from posemamba.ops.scan import selftest as checks
from posemamba.utils.errors import PoseMambaError

CPU = torch.device("cpu")


def race(names: str, *, tasks: str = "forward", clips: tuple[int, ...] = (1,), **options: Any) -> Bench:
    cases = plan([parse_spec(name) for name in names.split()], tasks.split(), clips, [6])
    return Bench(cases, CPU, command="posemamba bench", **{"rounds": 2, **options})


def rows_of(measured: Bench) -> dict[str, Row]:
    return {row.spec: row for rows in measured.run() for row in rows}


@pytest.fixture
def no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "run_checks", lambda *unused: iter(()))


# --- what is measured and kept


@pytest.mark.slow
def test_a_race_from_the_command_line(
    tiny: dict[str, ModelSpec], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    command = "s s:bf16 motionbert motionagformer-s --clips 1,2 --frames 6 --task forward,train --rounds 2 --device cpu"
    assert cli.main(["bench", *command.split(), "--reference", "motionbert", "--json", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    report = json.loads(file.read_text())
    assert report["format"] == "posemamba-bench-1"
    (run,) = report["runs"]
    assert run["finished"] and run["rounds"] == 2 and run["reference"] == "motionbert"
    assert run["command"] == f"posemamba bench {command.replace(' --task forward,train', '')}".replace(
        " --clips", " --task forward,train --clips"
    ).replace("--rounds 2 --device cpu", "--reference motionbert --rounds 2 --limit-s 300 --device cpu")
    assert run["versions"]["torch"] == torch.__version__ and run["date"].endswith("+00:00")
    assert str(tmp_path) not in file.read_text()
    assert {check["what"] for check in run["checks"]} >= {"scan", "scan's gradients", "s in float32", "s in bf16"}
    assert len(report["rows"]) == 4 * 2 * 2
    for row in report["rows"]:
        assert row["status"] == "ok" and row["frames"] == 6 and row["peak_bytes"] is None
        assert row["window"] == (3 if row["model"] == "motionagformer-s" else 6)
        times = sorted(row["times_ms"])
        assert len(times) >= 2 and times[0] <= row["quartiles_ms"][0] <= row["median_ms"] <= row["quartiles_ms"][1]
        assert row["frames_per_second"] == pytest.approx(6e3 * row["clips"] / row["median_ms"])
        assert row["us_per_frame"] == pytest.approx(1e6 / row["frames_per_second"])
        assert row["parameters"] > 0 and row["setup_s"] > 0
        (other,) = (r for r in report["rows"] if r["spec"] == "motionbert" and is_beside(r, row))
        assert row["speed"] == pytest.approx(other["us_per_frame"] / row["us_per_frame"]) and row["memory"] is None
    assert said.out.count("spec") == 4 and "training step, 2 clips of 6 frames" in said.out
    assert "4 x 3" in said.out, "the same number of frames in shorter clips"
    line = next(line.split() for line in said.out.splitlines() if line.startswith("  motionbert "))
    assert line[-1] == "1.00"

    # shown again, from two files, of which the later one counts
    assert cli.main(["bench", "--from", str(file), "--from", str(file), "--reference", "s"]) == 0
    again = capsys.readouterr().out
    assert again.count("spec") == 4 and "speed: times that of s\n" in again


def is_beside(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("task", "clips", "frames"))


def test_no_figure_if_the_gate_is_shut(
    tiny: dict[str, ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = checks.selective_scan
    monkeypatch.setattr(checks, "selective_scan", lambda **given: right(**given) * (1 + ("backend" not in given)))
    file = tmp_path / "bench.json"
    assert cli.main(["bench", "s", "motionbert", "--frames", "6", "--json", str(file), "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "no timings" in said.err and len(said.err.splitlines()) == 1
    report = Report.model_validate_json(file.read_text())
    assert not report.runs[0].finished and all(row.status == "not run" and not row.times_ms for row in report.rows)


def test_everyone_takes_turns_forwards_and_backwards(
    tiny: dict[str, ModelSpec], no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []
    monkeypatch.setattr(bench_module, "block_ms", lambda call, *unused: order.append(id(call)) or [1.0])
    rows = rows_of(race("s l motionbert", rounds=4))
    first = order[:3]
    assert order == [*first, *first[::-1], *first, *first[::-1]] and len(set(first)) == 3
    assert all(row.times_ms == [1.0] * 4 for row in rows.values())


def test_a_killed_race_keeps_what_it_had(
    tiny: dict[str, ModelSpec], no_gate: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bench.json"
    measured = race("s l", clips=(1, 2, 3), json_file=file)
    running = measured.run()
    next(running)

    def killed(*unused: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_module, "block_ms", killed)
    with pytest.raises(KeyboardInterrupt):
        next(running)
    kept = read_reports([file])
    assert [row.status for row in kept.rows] == ["ok", "ok", *["not run"] * 4]
    assert kept.rows[2].setup_s is not None and not kept.runs[0].finished
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_a_limit_ends_one_spec_and_not_the_others(tiny: dict[str, ModelSpec], no_gate: None) -> None:
    measured = race("s l", clips=(1, 2), rounds=3, limit_s=1000)
    measured._spent[parse_spec("l")] = 2000.0
    rows = list(measured.run())
    for quick, slow in rows:
        assert quick.status == "ok" and len(quick.times_ms) >= 3
        assert (slow.status, slow.note, slow.times_ms) == ("over the limit", "its 1000 s were spent before", [])
    # spent while getting ready, as a slow compiler does: the call after warming up is kept
    (first, second) = list(race("s", clips=(1, 2), limit_s=0).run())
    assert first[0].status == "ok" and len(first[0].times_ms) == 1 and "only 1" in first[0].note
    assert second[0].status == "over the limit"


# --- those who fail


class Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.weight, self.error = nn.Parameter(torch.zeros(1)), error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


def wrapped() -> Exception:
    error = RuntimeError("backend='inductor' raised")
    error.__cause__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried ..."), "out of memory", 0),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory", 0),
        (wrapped(), "out of memory", 0),
        (ValueError("no kernel\nfor this"), "failed: ValueError: no kernel", 1),
    ],
)
@pytest.mark.parametrize("task", ["forward", pytest.param("train", marks=pytest.mark.slow)])
def test_one_that_fails_says_so_in_its_row(
    error: Exception,
    status: str,
    code: int,
    task: str,
    tiny: dict[str, ModelSpec],
    no_gate: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(tiny, "motionbert", replace(tiny["motionbert"], build=lambda frames: Failing(error)))
    command = f"bench s motionbert l --frames 6 --rounds 2 --device cpu --reference motionbert --task {task}"
    assert cli.main(command.split()) == code
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == ["spec", "s", "motionbert", "l"]
    assert lines[2].endswith(f"1 x 6  {status}")
    assert "speed" not in lines[0], "there is nothing to compare with"


def test_one_that_runs_out_of_memory_in_a_later_round(
    tiny: dict[str, ModelSpec], no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"number": 0}
    right = timing.block_ms

    def block(*args: Any) -> list[float]:
        calls["number"] += 1
        if calls["number"] == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(*args)

    monkeypatch.setattr(bench_module, "block_ms", block)
    rows = rows_of(race("s l", rounds=3))
    assert [(row.status, len(row.times_ms) > 0) for row in rows.values()] == [("ok", True), ("out of memory", False)]
    assert calls["number"] == 2 + 2 + 1, "who is out of memory is not asked again"


@pytest.mark.parametrize(("task", "what"), [("forward", "output"), ("train", "loss")])
def test_a_baseline_that_gives_nan_gets_no_figure(
    task: str, what: str, tiny: dict[str, ModelSpec], no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(frames: int) -> nn.Module:
        model = tiny["motionagformer-s"].build(3)
        nn.init.constant_(model.head.bias, float("nan"))  # type: ignore[union-attr, arg-type]
        return model

    monkeypatch.setitem(tiny, "motionbert", replace(tiny["motionbert"], build=build))
    rows = rows_of(race("s motionbert@3", tasks=task))
    assert rows["s"].status == "ok"
    row = rows["motionbert@3"]
    assert (row.status, row.note, row.times_ms) == ("wrong", f"the {what} is not finite", [])
    assert f"wrong: the {what} is not finite" in plain_table([row], None)


@pytest.mark.parametrize(
    ("task", "change", "by"),
    [
        ("forward", lambda y: 1.01 * y, "1.0e-02"),  # the whole model's output
        ("train", lambda y: y + torch.arange(float(y.shape[-1])), ""),  # a layer's: a scale its norms would take away
    ],
)
def test_a_compiled_version_has_to_agree_with_the_plain_one(
    task: str, change: Any, by: str, tiny: dict[str, ModelSpec], no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (False, True):

        def compiled(function: Any, dynamic: bool, wrong: bool = wrong) -> Any:
            def run(*given: Any) -> Tensor:
                y: Tensor = function(*given)
                eager = eval_frame._stance.stance == "force_eager"
                return change(y) if wrong and not eager else y

            return run

        monkeypatch.setattr(torch, "compile", compiled)
        rows = rows_of(race("motionbert motionbert:compile", tasks=task))
        assert [row.status for row in rows.values()] == ["ok", "wrong" if wrong else "ok"]
    assert f"differs from that of the plain version by {by}" in rows["motionbert:compile"].note


def test_our_inference_has_to_agree_with_training_at_the_size_that_is_timed(
    tiny: dict[str, ModelSpec], no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = tiny["s"].build

    def build(frames: int) -> nn.Module:
        model = right(frames)
        forward = model.forward
        # wrong for many clips only, which the gate does not see
        model.forward = lambda x: forward(x) * (1.01 if len(x) > 1 and not torch.is_grad_enabled() else 1)  # type: ignore
        return model

    monkeypatch.setitem(tiny, "s", replace(tiny["s"], build=build))
    one, two = list(race("s", clips=(1, 2)).run())
    assert one[0].status == "ok"
    assert two[0].status == "wrong" and "training's forward pass by 1.0e-02" in two[0].note


# --- refusals


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("s:fp8", "unknown setting 'fp8'"),
        ("s:bf16+graph", "the setting 'graph' is for NVIDIA GPUs"),
        ("--clips 1,0", "--clips is '1,0', expected positive numbers"),
        ("--lengths 27;81", "--lengths is '27;81'"),
        ("--reference l", "the reference 'l' is not timed, expected one of s"),
        ("motionagformer-xs --frames 100", "takes clips of 27 frames, which do not divide 100"),
        ("--part train", "--part is of a preset"),
        ("--preset paper", "unknown preset 'paper': known are paper-gpu, paper-cpu"),
        ("--preset paper-gpu", "is for an NVIDIA GPU, and this runs on cpu"),
        ("--preset paper-cpu s", "leave out the model s"),
        ("--preset paper-cpu --clips 2", "leave out --clips"),
        ("--preset paper-cpu --part q", "unknown part 'q' of paper-cpu: known are forward, best, train"),
        ("--from nowhere.json", "nowhere.json: cannot be read"),
        ("--plot figure.txt", "ends with .png, .svg or .pdf"),
        ("--json /proc/nowhere/bench.json", "cannot write there"),
    ],
)
def test_refusals_are_one_line(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    device = [] if command.startswith("--from") else ["--device", "cpu"]
    assert cli.main(["bench", *command.split(), *device]) == 2
    said = capsys.readouterr()
    assert said.out == "" and message in said.err and len(said.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_reports_that_do_not_belong_together_are_refused(
    tiny: dict[str, ModelSpec], no_gate: None, tmp_path: Path
) -> None:
    measured = race("s", json_file=tmp_path / "a.json")
    list(measured.run())
    measured.report.runs[0].device = "another"
    measured.report.save(tmp_path / "b.json")
    with pytest.raises(PoseMambaError, match="different devices"):
        read_reports([tmp_path / "a.json", tmp_path / "b.json"])
    (tmp_path / "c.json").write_text('{"format": "something", "runs": [], "rows": []}')
    with pytest.raises(PoseMambaError, match="not a file that posemamba bench --json wrote"):
        read_reports([tmp_path / "c.json"])


def test_of_a_row_in_several_files_the_last_that_was_measured_counts(
    tiny: dict[str, ModelSpec], no_gate: None, tmp_path: Path
) -> None:
    measured = race("s")
    files = [tmp_path / f"{name}.json" for name in "abc"]
    for file, times in zip(files, ([1.0], [2.0], []), strict=True):
        (row,) = measured.report.rows
        row.times_ms, row.status = times, "ok" if times else "over the limit"
        measured.report.save(file)
    (row,) = read_reports(files).rows
    assert row.times_ms == [2.0]


def test_both_tables_show_the_same(tiny: dict[str, ModelSpec], no_gate: None) -> None:
    from rich.console import Console

    measured = race("s l motionbert")
    (rows,) = list(measured.run())
    rows[1].times_ms, rows[1].status = [], "out of memory"
    rows[2].note, rows[2].peak_bytes, rows[0].peak_bytes = "calls: only 1", 12_000_000, 3_000_000
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(rich_table(rows, "s"))
    for text in (console.export_text(), plain_table(rows, "s")):
        for part in ("forward, 1 clip of 6 frames; speed and memory: times that of s", "1 x 6", "out of memory"):
            assert part in text
        assert "MB" in text and " 12 " in text and " 4.00" in text and "calls: only 1" in text


# --- the GPU's parts, without a GPU


class FakeCuda:
    """Enough of torch.cuda to run the code for it, and a record of what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        for name in ("synchronize", "reset_peak_memory_stats", "empty_cache"):
            monkeypatch.setattr(torch.cuda, name, lambda *unused, name=name: self.said.append(name))
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *unused: 100)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *unused: 350)
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *unused: self.reserved)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda *unused: types.SimpleNamespace(total_memory=1000)
        )
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self.stream("side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream("main"))
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: types.SimpleNamespace(replay=self.replay))
        monkeypatch.setattr(torch.cuda, "graph", self.capture)
        self.reserved = 0
        self.replayed: Any = lambda: None

    def event(self, enable_timing: bool) -> Any:
        return types.SimpleNamespace(record=lambda: self.said.append("record"), elapsed_time=lambda end: 2.5)

    def stream(self, name: str) -> Any:
        return types.SimpleNamespace(name=name, wait_stream=lambda other: self.said.append(f"{name} waits"))

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        self.said.append("on side")
        yield

    @contextmanager
    def capture(self, graph: Any, stream: Any) -> Iterator[None]:
        self.said.append(f"capture on {stream.name}")
        yield

    def replay(self) -> None:
        self.said.append("replay")
        self.replayed()


def test_times_and_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, device = FakeCuda(monkeypatch), torch.device("cuda")

    def call() -> None:
        cuda.said.append("call")

    assert timing.sample_ms(call, device) == 2.5
    assert cuda.said == ["synchronize", "record", "call", "record", "synchronize"]
    cuda.said.clear()
    assert timing.peak_bytes(call, device) == 250
    assert cuda.said == ["synchronize", "reset_peak_memory_stats", "call", "synchronize"]
    cuda.said.clear()
    assert timing.block_ms(call, device, 3) == [2.5] * 3
    assert cuda.said.count("call") == 4 and "empty_cache" not in cuda.said, "the first call is not counted"
    cuda.reserved = 600
    timing.block_ms(call, device, 1)
    assert "empty_cache" in cuda.said


@pytest.mark.parametrize("stale", [False, True])
def test_a_graph_is_captured_after_warming_up_and_reads_its_input_anew(
    stale: bool, tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = FakeCuda(monkeypatch)
    kept: dict[str, Any] = {}

    def call() -> Tensor:
        cuda.said.append("call")
        kept["output"] = kept["run"](kept["x"])
        return kept["output"]

    def replayed() -> None:
        read = torch.zeros_like(kept["x"]) if stale else kept["x"]
        kept["captured"].copy_(kept["run"](read))

    cuda.replayed = replayed
    (case,) = plan([parse_spec("motionbert:graph")], ["forward"], [2], [6])
    models = runner_module.Models(case, CPU)
    spec = case.specs[0]
    kept["x"], kept["run"] = models.input(spec), torch.no_grad()(models.plain(spec))
    want = kept["run"](kept["x"])
    replay = runner_module._captured(torch.device("cuda"), kept["x"], call)
    kept["captured"] = kept["output"]
    assert cuda.said == [
        *("side waits", "on side", *["call"] * runner_module.WARM_UP, "main waits"),
        *("capture on side", "call"),
    ]
    got = replay()
    assert cuda.said[-1] == "replay" and torch.equal(got, want) != stale
    if stale:
        with pytest.raises(runner_module.WrongOutputError, match="the plain version"):
            runner_module._check_output(spec, models, kept["x"], got)


def test_a_graph_of_training_reads_an_input_that_has_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the scan alone. Nothing of the autograd graph that was made before is kept: capturing would fail for it."""
    cuda = FakeCuda(monkeypatch)
    x = torch.arange(3.0).requires_grad_()
    want, made = x.detach().clone(), []

    def call() -> Tensor:
        loss = (x * x).sum()
        loss.backward()
        return loss.detach()

    clone = Tensor.clone
    monkeypatch.setattr(Tensor, "clone", lambda t: made.append(clone(t)) or made[-1])
    replay = runner_module._captured(torch.device("cuda"), x, call)
    assert not x.any() and len(made) == 1 and made[0].grad_fn is None
    replay()
    assert torch.equal(x, want) and x.requires_grad and cuda.said[-1] == "replay"


def test_a_graph_keeps_what_was_made_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optimizer's state, say: freed, its memory would be another's, and the graph would write there all the same."""
    FakeCuda(monkeypatch)

    def make() -> tuple[Any, weakref.ref[Tensor]]:
        state = torch.zeros(3)
        return lambda: state.add_(1).sum(), weakref.ref(state)

    call, state = make()
    replay = runner_module._captured(torch.device("cuda"), torch.zeros(1), call)
    del call
    gc.collect()
    assert state() is not None
    del replay
    gc.collect()
    assert state() is None


@pytest.mark.slow
def test_one_by_one_nobody_else_is_in_memory(tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[weakref.ref[Any]] = []

    def make(*given: Any) -> runner_module.Runner:
        gc.collect()
        assert not any(each() for each in ready)
        made = runner_module.make_ready(*given)
        ready.append(weakref.ref(made.call))
        return made

    monkeypatch.setattr(bench_module, "make_ready", make)
    monkeypatch.setattr(Bench, "_one_by_one", lambda self, case: True)
    rows = rows_of(race("s motionbert", tasks="train", rounds=3))
    assert len(ready) == 2 * 3
    assert all(row.status == "ok" and len(row.times_ms) >= 3 for row in rows.values())


def test_memory_counts_what_is_kept_from_call_to_call(
    tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = FakeCuda(monkeypatch)
    (case,) = plan([parse_spec("motionbert")], ["forward"], [1], [6])
    models = runner_module.Models(case, CPU)
    models.plain(case.specs[0])
    model = models._models[case.specs[0]]
    forward, calls = model.forward, []

    def keeps_more(x: Tensor) -> Tensor:
        calls.append(len(x))
        cuda.reserved = 70 if len(calls) > 1 else 0  # a graph of its own, from the second call on
        return forward(x)

    model.forward = keeps_more  # type: ignore[method-assign, assignment]
    x = models.input(case.specs[0])
    monkeypatch.setattr(models, "device", torch.device("cuda"))
    _, peak = runner_module._ready_to_infer(case.specs[0], models, x)
    assert peak == 250 + 70 and len(calls) >= runner_module.WARM_UP + 2


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["forward", "train"])
def test_a_race_on_a_gpu(task: str, tiny: dict[str, ModelSpec]) -> None:
    names = "s s:tf32 s:bf16 s:bf16+graph motionbert:tf32 motionbert:bf16+compile motionbert:bf16+compile+graph"
    names += " motionagformer-s:bf16+graph scan-s:bf16+graph"
    cases = plan([parse_spec(name) for name in names.split()], [task], [1, 4], [27])
    measured = Bench(cases, torch.device("cuda"), command="posemamba bench", rounds=2)
    for rows in measured.run():
        print(plain_table(rows, None))
        for row in rows:
            assert row.status == "ok", (row.spec, row.status, row.note)
            assert row.peak_bytes is not None and row.peak_bytes > 0
