"""Models small enough to be raced in a test, under the names of the real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posemamba.bench import timing
from posemamba.bench.specs import MODELS, ModelSpec
from posemamba.models.motionagformer import MotionAGFormer, MotionAGFormerConfig
from posemamba.models.motionbert import MotionBERT, MotionBERTConfig
from posemamba.models.posemamba import PoseMamba


def motionagformer(frames: int) -> MotionAGFormer:
    return MotionAGFormer(MotionAGFormerConfig(width=16, depth=1, frames=frames, heads=2, rep_width=16))


def motionbert(frames: int) -> MotionBERT:
    return MotionBERT(MotionBERTConfig(width=16, representation=16, depth=1, heads=2, frames=frames))


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call in a turn."""
    monkeypatch.setattr(timing, "BLOCK_MS", 0.0)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelSpec]:
    """`MODELS` with tiny models; a test may put its own into it by `monkeypatch.setitem`."""

    def put(name: str, model: ModelSpec) -> None:
        monkeypatch.setitem(MODELS, name, model)

    for size, depth in (("s", 1), ("l", 2)):

        def build(frames: int, depth: int = depth) -> PoseMamba:
            return PoseMamba.preset("s", width=16, depth=depth, frames=frames)

        put(size, replace(MODELS[size], build=build, scan_width=32))
    put("motionbert", replace(MODELS["motionbert"], build=motionbert))
    put("motionagformer-s", replace(MODELS["motionagformer-s"], build=motionagformer, own_frames=3))
    return MODELS
