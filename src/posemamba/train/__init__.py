"""Training: recipes, steps, checkpoints, weights files. The names listed here are public."""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

_HOMES = {
    "Recipe": "posemamba.train.recipe",
    "export_weights": "posemamba.train.export",
    "load_recipe": "posemamba.train.recipe",
    "plot_curves": "posemamba.train.curves",
    "read_curves": "posemamba.train.curves",
    "train": "posemamba.train.run",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
