"""A mark for torch.compile, set without importing torch._dynamo, which alone takes more than a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def constant_for_compiler(function: Function) -> Function:
    """Mark a function whose result torch.compile may take as a constant, as torch.compiler.assume_constant_result does.

    That function imports torch._dynamo to set this one attribute. A test compiles a marked function without a graph
    break, so that a change of the attribute's name is noticed.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
