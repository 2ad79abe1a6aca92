"""Divergence of training: noticed by the training error, rolled back to an earlier state, continued at a lower rate.

At high learning rates the training error now and then multiplies within a hundred steps, sooner for large models. The
model then gives one pose for all frames, and needs a third of the run to recover, if it does
(docs/decisions/training_stability.md).
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from posemamba.train.module import LiftingModule

RECENT, EARLIER, LEAST = 3, 40, 8
"""Logged errors: the recent ones' median is compared with that of the earlier ones, of which there must be some."""
KEPT = 2
"""States that are kept: the older one is restored, as the newer may already be affected."""


class DivergenceGuard:
    """A guard of one training against divergence.

    Args:
        times: training has diverged when its error is this many times the earlier one.
        slower: factor of all learning rates for each rollback.
    """

    def __init__(self, times: float, slower: float = 0.5) -> None:
        self.times, self.slower = times, slower
        self._errors: deque[float] = deque(maxlen=EARLIER + RECENT)
        self._states: deque[tuple[int, dict[int, tuple[Tensor, Tensor]]]] = deque(maxlen=KEPT)

    def keep(self, step: int, module: LiftingModule) -> None:
        """Keep the state of training at this step, unless the last error makes it doubtful."""
        if len(self._errors) > LEAST and not self._errors[-1] <= self.times * median(self._errors):
            return
        if not is_finite(module.model):
            return
        tensors = _tensors(module)
        self._states.append((step, {id(tensor): (tensor, tensor.detach().clone()) for tensor in tensors}))

    def diverged(self, error: float) -> bool:
        """Tell whether the training error has multiplied.

        Args:
            error: of the last logged step, millimetres.
        """
        self._errors.append(error)
        recent, earlier = list(self._errors)[-RECENT:], list(self._errors)[:-RECENT]
        if len(earlier) < LEAST:
            return False
        # what is not a number stays so: no need to wait for more of them
        return not math.isfinite(error) or median(recent) > self.times * median(earlier)

    @property
    def ready(self) -> bool:
        """Tell whether enough errors were seen to notice divergence."""
        return len(self._errors) >= LEAST + RECENT

    def roll_back(self, module: LiftingModule) -> str:
        """Restore model, average and optimiser in place, as a CUDA graph needs it, and lower the learning rates.

        Returns:
            A line that reports it.
        """
        recent = [self._errors.pop() for _ in range(RECENT)]
        worst = max(recent, key=lambda error: (not math.isfinite(error), error))
        step, state = self._states[0]
        with torch.no_grad():
            for tensor in _tensors(module):
                if id(tensor) in state:
                    tensor.copy_(state[id(tensor)][1])
                else:  # the optimiser's, from after that: it starts from zeros
                    tensor.zero_()
        self._states = deque([(step, state)], maxlen=KEPT)
        module.slower *= self.slower
        return (
            f"the training error went from {median(self._errors):.0f} to {worst:.0f} mm: back to the weights "
            f"of step {step}, learning rates times {module.slower:g} from now on"
        )


def is_finite(model: nn.Module) -> bool:
    """Tell whether all weights are finite; waits for the device."""
    return bool(torch.stack([p.detach().isfinite().all() for p in model.parameters()]).all())


def _tensors(module: LiftingModule) -> list[Tensor]:
    """Collect all tensors that a step changes."""
    models = [module.model] if module.averaged is None else [module.model, module.averaged]
    optimizer = module.trainer.optimizers[0]
    kept = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
    return [*(t for model in models for t in (*model.parameters(), *model.buffers())), *kept]
