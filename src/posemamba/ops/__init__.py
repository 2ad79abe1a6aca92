"""Kernels, each with its reference; they take tensors and know no model.

Public here: `selective_scan`, and `use`, which forces a way to run for a `with` block.
"""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {"selective_scan": "posemamba.ops.scan", "use": "posemamba.ops.runtime.settings"}
)  # fmt: skip
