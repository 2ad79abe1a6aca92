"""Scores with several predictors at a time, as on several GPUs: those of one, to the last bit."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.data.mocap.motions import Motions
from posemamba.evaluate.mocap.benchmark import Predict, model_predictor, run_benchmark
from posemamba.evaluate.mocap.devices import Loading, predictors_on
from posemamba.lifting.lifter import Lifter


class Slow:
    """A predictor that may be called once at a time, and notes how often it was."""

    def __init__(self) -> None:
        self.calls, self._busy = 0, threading.Lock()

    def __call__(self, joints: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self._busy.acquire(blocking=False), "two scenes at a time"
        time.sleep(0.01 * (joints.shape[1] % 3))
        self.calls += 1
        self._busy.release()
        return np.concatenate([joints[..., :2], 0.1 * joints[..., 1:2]], -1) - joints[:, :, :1] * np.float32([1, 1, 0])


def test_the_order_in_which_scenes_end_does_not_matter(motions: Motions) -> None:
    one, several = Slow(), [Slow(), Slow(), Slow()]
    assert run_benchmark(several, motions=motions) == run_benchmark(one, motions=motions)
    assert sum(each.calls for each in several) == one.calls and sum(each.calls > 0 for each in several) > 1


@pytest.mark.slow
def test_in_a_process_for_each_device(motions: Motions, weights: Path) -> None:
    """CPUs in the place of GPUs."""
    lifter = Lifter.from_pretrained(weights, device="cpu")
    single: Predict = model_predictor(lifter.model, window=lifter.window, person_size=lifter.person_size)
    with predictors_on(["cpu", "cpu"], Loading(weights)) as predictors:
        assert len(predictors) == 2
        assert run_benchmark(predictors, motions=motions) == run_benchmark(single, motions=motions)
