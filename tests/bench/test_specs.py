"""What a spec's name says, and what is no name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
import torch

from posemamba.bench.plan import LENGTHS, PRESETS, SWEEP, plan, plan_preset
from posemamba.bench.specs import MODELS, PRECISIONS, WAYS, BenchSpec, parse_spec
from posemamba.utils.errors import PoseMambaError


@pytest.mark.parametrize(
    ("text", "spec", "written"),
    [
        ("s", BenchSpec("s"), "s"),
        ("l:bf16+graph", BenchSpec("l", precision="bf16", graph=True), "l:bf16+graph"),
        ("l:graph+bf16", BenchSpec("l", precision="bf16", graph=True), "l:bf16+graph"),
        (" MotionBERT:tf32 ", BenchSpec("motionbert", precision="tf32"), "motionbert:tf32"),
        ("x:float32", BenchSpec("x"), "x"),
        ("motionbert@27:compile", BenchSpec("motionbert", 27, compiled=True), "motionbert@27:compile"),
    ],
)
def test_names_are_read_and_written(text: str, spec: BenchSpec, written: str) -> None:
    assert parse_spec(text) == spec
    assert str(spec) == written and parse_spec(written) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q", "unknown model 'q' in 'q': known are s, b, l, x, motionbert"),
        ("", "unknown model ''"),
        (":bf16", "unknown model ''"),
        ("s:", "unknown setting '' in 's:': known are float32, tf32, bf16, compile, graph, recompute"),
        ("s:fp16", "unknown setting 'fp16' in 's:fp16'"),
        ("s:bf16,graph", "unknown setting 'bf16,graph'"),
        ("s:tf32+bf16", "tf32 and bf16 exclude each other"),
        ("s:graph+graph", "given twice"),
        ("motionbert:recompute", "'recompute' is for whole PoseMambas"),
        ("s@0", "'@0' is no number of frames"),
        ("s@:bf16", "'@' is no number of frames"),
    ],
)
def test_what_is_no_name_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PoseMambaError, match=re.escape(message)) as caught:
        parse_spec(text)
    assert "\n" not in str(caught.value)


def test_every_spec_gets_as_many_frames() -> None:
    def window(text: str, frames: int, whole: bool = False) -> int:
        return parse_spec(text).window(frames, whole)

    assert [window(name, 243) for name in ("l", "motionbert", "motionagformer-l")] == [243] * 3
    assert (window("motionagformer-s", 243), window("motionagformer-xs", 243)) == (81, 27)
    assert window("motionagformer-s", 27) == 27, "shorter clips are not made longer"
    assert window("motionagformer-s", 972, whole=True) == 972
    assert window("l@243", 972) == window("l@243", 972, whole=True) == 243
    for text, frames in (("motionagformer-s", 100), ("s@243", 81)):
        with pytest.raises(PoseMambaError, match="which do not divide"):
            window(text, frames)


def test_settings_of_gpus_are_refused_on_a_cpu() -> None:
    for text in ("s:tf32", "s:graph", "s:bf16+graph"):
        with pytest.raises(PoseMambaError, match="is for NVIDIA GPUs"):
            parse_spec(text).refuse_device(torch.device("cpu"))
        parse_spec(text).refuse_device(torch.device("cuda"))
    parse_spec("s:bf16+compile").refuse_device(torch.device("cpu"))


@pytest.mark.slow
def test_every_model_can_be_built_for_any_length() -> None:
    for name, entry in MODELS.items():
        if not name.startswith("scan"):  # their weights come from random numbers of the CPU
            with torch.device("meta"):
                assert sum(p.numel() for p in entry.build(3888).parameters()) > 1e6, name


def test_published_errors_are_those_of_the_papers_table(shared: Callable[..., Path]) -> None:
    lines = shared("spec", "paper.txt").read_text().splitlines()
    found = {}
    names = "PoseMamba-S PoseMamba-B PoseMamba-L PoseMamba-X MotionBERT MotionAGFormer-L MixSTE STCFormer STCFormer-L"
    for name in names.split():
        row = next(line for line in lines if line.startswith(f"{name} ") and " 243 " in line and "/" in line)
        found[name] = float(re.search(r"([\d.]+)/[\d.]+ (?:[\d.]+|-)$", row).group(1))  # type: ignore[union-attr]
    assert found == {m.label: m.published_p1 for m in MODELS.values() if m.published_p1 is not None}


def test_a_plan_has_every_combination_and_the_sweep() -> None:
    names = [parse_spec(text) for text in ("s", "s:graph", "motionagformer-s")]
    cases = plan(names, ["forward", "train"], [1, 16], [243, 972], lengths=[27, 81])
    assert [(c.task, c.frames, c.clips, c.group) for c in cases] == [
        *(("forward", T, B, "") for T in (243, 972) for B in (1, 16)),
        *(("train", T, B, "") for T in (243, 972) for B in (1, 16)),
        *(("forward", T, 1, SWEEP) for T in (27, 81)),
    ]
    assert all(set(c.specs) == set(names) for c in cases)
    assert all(c.whole == (c.group == SWEEP) for c in cases)


@pytest.mark.parametrize(
    ("names", "tasks", "message"),
    [
        ("s", "sleep", "unknown task 'sleep'"),
        ("s s:float32", "forward", "'s' is given twice"),
        ("s:recompute", "forward", "all specs recompute"),
        ("s", "", "nothing to time"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(names: str, tasks: str, message: str) -> None:
    with pytest.raises(PoseMambaError, match=message):
        plan([parse_spec(text) for text in names.split()], tasks.split(), [1], [27])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_run_part_by_part(name: str) -> None:
    preset = PRESETS[name]
    cases = [case for part in preset.parts for case in plan_preset(name, [part])]
    assert cases == plan_preset(name, [])
    for case in cases:
        for spec in case.specs:
            spec.refuse_device(torch.device("cuda" if preset.gpu else "cpu"))
            assert parse_spec(str(spec)) == spec
    assert any(str(c) == preset.reference for case in cases for c in case.specs)
    with pytest.raises(PoseMambaError, match="unknown part 'q' of"):
        plan_preset(name, ["q"])


def test_the_gpu_preset_shows_baselines_plain_and_at_their_best() -> None:
    cases = plan_preset("paper-gpu", [])
    forward = {c.clips: set(map(str, c.specs)) for c in cases if c.group.startswith("forward")}
    assert set(forward) == {1, 16, 64}
    for names in forward.values():
        for model in ("motionbert", "motionagformer-l"):
            assert {f"{model}:{s}" for s in ("tf32", "bf16+compile", "bf16+compile+graph")} < names
        assert {f"{size}:{s}" for size in "sblx" for s in ("bf16", "bf16+graph")} < names
    assert [c.frames for c in cases if c.group == SWEEP] == list(LENGTHS)
    assert {c.frames for c in cases if c.group == "long"} == {243, 972}
    assert [c.clips for c in cases if c.task == "train"] == [16]


def test_help_and_docs_name_every_model_and_setting() -> None:
    from posemamba.cli.bench import BenchOptions

    docs = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    for name in (*MODELS, *PRECISIONS, *WAYS, *PRESETS, *(part for p in PRESETS.values() for part in p.parts)):
        assert f"`{name}`" in docs, name
    said = str(get_type_hints(BenchOptions, include_extras=True)["models"].__metadata__[0].help)
    for name in (*PRECISIONS, *WAYS):
        assert name in said, name
