"""A target of the harness: whole files, how they are damaged, and the reader or command that is given them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import Random


@dataclass(frozen=True)
class Target:
    """A reader or command.

    Attributes:
        seeds: names of whole files, and how each is damaged.
        run: run(file, folder, seeds' folder, draw); returns an exit code, or None. It may raise `PoseMambaError`.
        share: how often it is drawn.
        draws: it draws each frame of a clip, so that a file that is read takes as long as it has frames.
        place: the name that the damaged file gets in its folder; "": the seed's.
    """

    seeds: dict[str, str]
    run: Callable[[Path, Path, Path, Random], int | None]
    share: float = 1.0
    place: str = ""
    draws: bool = False


def command(*words: object) -> int:
    """Run the command line; return its exit code."""
    from posemamba import cli

    return cli.main([str(word) for word in words])
