"""A lifter that threads load and prepare while joints are found, and a bar that tells what is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posemamba.ops.runtime.compiling_now import compiling
from posemamba.utils.background import Background
from posemamba.utils.progress import Stages

if TYPE_CHECKING:
    from posemamba.lifting.lifter import Lifter


class LifterAhead:
    """A lifter that is made from now on: PyTorch imported, weights read, kernels compiled or read from their cache."""

    def __init__(self, weights: str, device: str, flip: bool) -> None:
        """Begin; the arguments are those of `Lifter.from_pretrained`."""

        def load() -> Lifter:
            from posemamba.lifting.lifter import Lifter

            return Lifter.from_pretrained(weights, device=device, flip=flip)

        def prepare() -> Lifter:
            lifter = self._loaded.get()
            lifter.warm_up()
            return lifter

        self._loaded = Background(load)
        self._ready = Background(prepare)

    def check(self) -> None:
        """Raise the error with which loading has ended, if it has."""
        self._loaded.check()

    def loaded(self) -> Lifter:
        """Return the lifter as soon as its weights are read."""
        return self._loaded.get()

    def get(self, stages: Stages) -> Lifter:
        """Return the lifter when it is ready; until then the bar of the stage tells what is done."""
        lifter = self._ready.get(lambda: stages.tell("compiling (once)" if compiling() else "loading the model"))
        stages.tell(None)
        return lifter
