"""Predictors on several devices of one machine, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.evaluate.mocap.benchmark import Predict, model_predictor

_predictor: list[Predict] = []
"""Predictor of this process, if `predictors_on` started it."""


@dataclass(frozen=True)
class Loading:
    """Settings from which a predictor of weights is made; see `model_predictor`.

    Attributes:
        weights: name or file.
        window, overlap, flip, batch: how clips are cut, lifted and put together.
        half: in bfloat16.
    """

    weights: str | Path
    window: int | None = None
    overlap: int = 0
    flip: bool = True
    batch: int | None = None
    half: bool = False


@contextlib.contextmanager
def predictors_on(devices: Sequence[str], loading: Loading) -> Iterator[list[Predict]]:
    """Yield a predictor for each device; they may be called from several threads, one each, and end with the block."""
    with contextlib.ExitStack() as pools:
        predictors: list[Predict] = []
        for device in devices:
            context = multiprocessing.get_context("spawn")
            pool = pools.enter_context(ProcessPoolExecutor(1, context, initializer=_load, initargs=(device, loading)))
            predictors.append(partial(_call, pool))
        yield predictors


def _call(pool: ProcessPoolExecutor, joints: NDArray[np.float32]) -> NDArray[np.float32]:
    return pool.submit(_predict, joints).result()


def _load(device: str, loading: Loading) -> None:
    import torch

    from posemamba.lifting.lifter import Lifter

    lifter = Lifter.from_pretrained(loading.weights, device=device, flip=loading.flip, window=loading.window)
    predict = model_predictor(
        lifter.model,
        window=lifter.window,
        overlap=loading.overlap,
        flip=loading.flip,
        person_size=lifter.person_size,
        batch=loading.batch,
    )

    def in_precision(joints: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.autocast(lifter.device.type, torch.bfloat16, enabled=loading.half):
            return predict(joints)

    _predictor[:] = [in_precision]


def _predict(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    return _predictor[0](joints)
