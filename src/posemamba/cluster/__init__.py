"""Lifting on a cluster with Ray: `connect` to one, and `lift_dataset` in a Ray Data pipeline of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posemamba.utils.lazy import lazy_names

if TYPE_CHECKING:
    from posemamba.cluster.dataset import lift_dataset as lift_dataset
    from posemamba.cluster.session import connect as connect

_HOMES = {
    "connect": "posemamba.cluster.session",
    "lift_dataset": "posemamba.cluster.dataset",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
