"""Weights by name, and the folders in which they are looked for.

A name is that of a ``.safetensors`` file, or of its shards (`posemamba.weights.shards`), in one of `folders`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import weights_folders
from posemamba.weights import shards
from posemamba.weights.shards import name_of, parts


def bundled() -> dict[str, Path]:
    """Return the names of the weights in the package, with the first file of each (`parts` gives all)."""
    return _named([folders()[0]])


def is_bundled(path: Path) -> bool:
    """Return True for a file of the package, which is whole unless the installation is damaged."""
    return path.parent == folders()[0]


def folders() -> list[Path]:
    """Return the folders in which names are looked up, in order.

    These are the package's folder, the folder that the environment variable POSEMAMBA_WEIGHTS names, the user's data
    folder, and in a source checkout its folder ``weights``.
    """
    package = Path(str(resources.files("posemamba.weights")))
    checkout = package.parents[2]  # of src/posemamba/weights
    in_checkout = package.parent.parent.name == "src" and (checkout / "pyproject.toml").is_file()
    return [package, *weights_folders(), *([checkout / "weights"] if in_checkout else [])]


def known() -> dict[str, Path]:
    """Return the names of all weights in `folders`, with the first file of each; earlier folders win."""
    return _named(folders())


def _named(places: list[Path]) -> dict[str, Path]:
    return {name: path for place in reversed(places) for name, path in shards.named(place).items()}


def find(source: str | Path) -> Path:
    """Find a weights file by its name or path; of shards the first one is returned.

    Args:
        source: a known name, a file, any of a file's shards, or the path that the single file would have.

    Raises:
        PoseMambaError: neither a known name nor a file, or some shards are missing.
    """
    names = known()
    if str(source) in names:
        return parts(shards.only(names[str(source)].parent, str(source)) or names[str(source)])[0]
    path = Path(source)
    if path.is_file():
        return parts(path)[0]
    first = shards.only(path.parent, name_of(path)) if path.suffix == shards.SUFFIX else None
    if first is not None:  # a single file's path stands for its shards; for a shard's, `parts` reports missing ones
        return parts(first if name_of(path) == path.stem else path)[0]
    listed = ", ".join(sorted(names)) or "none"
    raise PoseMambaError(
        f"no weights '{source}': neither a file nor a known name ({listed}); looked in {', '.join(map(str, folders()))}"
    )
