"""Trainings that blow up: noticed by the training error, put back to what they were before, and gone on with slowly.

Now and then, of large models sooner, at high learning rates the training error multiplies within a hundred steps; the
model then gives one pose for all frames, and needs a third of the run to come back, if it does
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
"""Logged errors whose median is compared with that of those before them, and how few of these will do."""
KEPT = 2
"""States that are kept: the older one is gone back to, as the newer may be of when it had begun."""


class Recovery:
    """Watches one training.

    Args:
        times: so many times what the training error was is too much.
        slower: factor of all learning rates, each time it is put back.
    """

    def __init__(self, times: float, slower: float = 0.5) -> None:
        self.times, self.slower = times, slower
        self._errors: deque[float] = deque(maxlen=EARLIER + RECENT)
        self._states: deque[tuple[int, dict[int, tuple[Tensor, Tensor]]]] = deque(maxlen=KEPT)

    def keep(self, step: int, module: LiftingModule) -> None:
        """Remember what training is at this step, unless the last error makes it doubtful."""
        if len(self._errors) > LEAST and not self._errors[-1] <= self.times * median(self._errors):
            return
        if not is_finite(module.model):
            return
        tensors = _tensors(module)
        self._states.append((step, {id(tensor): (tensor, tensor.detach().clone()) for tensor in tensors}))

    def blown_up(self, error: float) -> bool:
        """Whether the training error has multiplied.

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
        """Whether it has seen enough to notice that training has blown up."""
        return len(self._errors) >= LEAST + RECENT

    def put_back(self, module: LiftingModule) -> str:
        """Make model, average and optimiser what they were, in place, as a CUDA graph needs it; slower from now on.

        Returns:
            What was done, to be told.
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
    """Whether all weights are numbers; waits for the device."""
    return bool(torch.stack([p.detach().isfinite().all() for p in model.parameters()]).all())


def _tensors(module: LiftingModule) -> list[Tensor]:
    """All that a step changes."""
    models = [module.model] if module.averaged is None else [module.model, module.averaged]
    optimizer = module.trainer.optimizers[0]
    kept = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
    return [*(t for model in models for t in (*model.parameters(), *model.buffers())), *kept]
