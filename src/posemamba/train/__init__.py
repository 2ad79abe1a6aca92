"""Training: recipes, steps, checkpoints, weights files. The names listed here are public."""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

_HOMES = {
    "DataOptions": "posemamba.train.recipe",
    "Recipe": "posemamba.train.recipe",
    "TensorClips": "posemamba.train.sources",
    "export_weights": "posemamba.train.export",
    "load_recipe": "posemamba.train.recipe",
    "plot_curves": "posemamba.train.curves",
    "read_curves": "posemamba.train.curves",
    "register_data": "posemamba.train.recipe",
    "register_loss": "posemamba.train.losses",
    "register_optimizer": "posemamba.train.optimizers",
    "train": "posemamba.train.run",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
