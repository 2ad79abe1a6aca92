"""Errors of models on benchmarks. The names listed here are public."""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

_HOMES = {
    "ViewsOptions": "posemamba.evaluate.views.benchmark",
    "acceleration": "posemamba.evaluate.metrics",
    "evaluate_views": "posemamba.evaluate.views.benchmark",
    "model_predictor": "posemamba.evaluate.mocap.benchmark",
    "mpjpe_per_frame": "posemamba.evaluate.metrics",
    "mpjve_per_frame": "posemamba.evaluate.metrics",
    "p_mpjpe_per_frame": "posemamba.evaluate.metrics",
    "register_evaluation": "posemamba.evaluate.registered",
    "run_benchmark": "posemamba.evaluate.mocap.benchmark",
    "run_robustness": "posemamba.evaluate.mocap.robustness",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
