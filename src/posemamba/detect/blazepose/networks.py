"""BlazePose's networks: TensorFlow Lite files in the package, run by LiteRT on the CPU."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.utils import processors
from posemamba.utils.errors import PoseMambaError, require

Size = Literal["lite", "full", "heavy"]
SIZES: tuple[Size, ...] = ("lite", "full", "heavy")

_FOLDER = Path(__file__).parent / "models"
_MOST_THREADS = 4  # with more the networks hardly gain, and other programs suffer


class Network:
    """A network with one picture as its input.

    Raises:
        PoseMambaError: LiteRT is not installed, or the network's file is missing or damaged.
    """

    def __init__(self, name: str, threads: int | None = None) -> None:
        """Load a file of the package.

        Args:
            name: ``person_detector``, ``landmarks_lite``, ``landmarks_full`` or ``landmarks_heavy``.
            threads: on which it runs; None: as many as it gains from.
        """
        path = _FOLDER / f"{name}.tflite"
        interpreter = require("ai_edge_litert.interpreter", "video").Interpreter
        threads = threads or processors.threads(_MOST_THREADS)
        try:
            with _without_information():
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise PoseMambaError(
                f"{path}: does not load as a TensorFlow Lite network ({_first_line(error)}); install posemamba again"
            ) from error
        (taken,) = self._interpreter.get_input_details()
        self._input = int(taken["index"])
        self._outputs = [int(given["index"]) for given in self._interpreter.get_output_details()]
        self.side = int(taken["shape"][1])
        """Width and height of the input in pixels."""

    def __call__(self, picture: NDArray[np.float32]) -> dict[tuple[int, ...], NDArray[np.float32]]:
        """Run the network.

        Args:
            picture: (side, side, 3) float32, RGB, in the range that the network expects.

        Returns:
            The outputs by their shapes, without the leading batch axis of length 1.
        """
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        outputs = [self._interpreter.get_tensor(index)[0] for index in self._outputs]
        return {output.shape: output for output in outputs}


@contextlib.contextmanager
def _without_information() -> Iterator[None]:
    """Hold back lines of information that native code writes to stderr, and pass on the others.

    LiteRT has no setting for it, so the file descriptor is redirected.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):  # no stderr at all, as in a windowed program
        yield
        return
    try:
        held = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    except OSError:  # no folder for it: the lines are shown
        os.close(saved)
        yield
        return
    with held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            if rest := b"".join(line for line in held if not line.startswith(b"INFO: ")):
                os.write(2, rest)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
