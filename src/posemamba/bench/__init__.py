"""A fair race of models and scans: speed, memory and exactness, in one run. The names listed here are public."""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

_HOMES = {
    "Bench": "posemamba.bench.bench",
    "parse_spec": "posemamba.bench.specs",
    "plan": "posemamba.bench.plan",
    "read_reports": "posemamba.bench.report",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
