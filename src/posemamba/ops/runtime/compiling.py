"""torch.compile's limit on variants of one function, whose name and default changed between PyTorch's versions."""

from __future__ import annotations

import torch._dynamo

MANY_VARIANTS = 64
"""Variants of one function. Beyond PyTorch's own limit of 8 it would silently run uncompiled."""
_RENAMED = hasattr(torch._dynamo.config, "recompile_limit")  # PyTorch 2.6 had other names
LIMIT = "recompile_limit" if _RENAMED else "cache_size_limit"
FAIL_ON_LIMIT = "fail_on_recompile_limit_hit" if _RENAMED else "fail_on_cache_limit_hit"
"""Names in `torch._dynamo.config`."""


def allow_many_variants() -> None:
    """Allow torch.compile `MANY_VARIANTS` of one function, as layers are compiled for each size of input."""
    config = torch._dynamo.config
    setattr(config, LIMIT, max(getattr(config, LIMIT), MANY_VARIANTS))
