"""Names of weights, and where the files behind them are looked for.

A name is that of a ``.safetensors`` file, or of several (`posemamba.weights.shards`), in one of `folders`.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from posemamba.utils.errors import PoseMambaError
from posemamba.weights import shards
from posemamba.weights.shards import name_of, parts

FOLDER = "POSEMAMBA_WEIGHTS"
"""The environment variable with a folder of weights that are known by name."""


def bundled() -> dict[str, Path]:
    """Names of the weights that come with the package, and the first file of each (`parts` has all)."""
    return _named([folders()[0]])


def folders() -> list[Path]:
    """Where weights with a name are looked for: the package's folder, the one that the environment variable
    POSEMAMBA_WEIGHTS names, the user's data folder, and of a source checkout the folder ``weights``."""
    package = Path(str(resources.files("posemamba.weights")))
    places = [package]
    if os.environ.get(FOLDER):
        places.append(Path(os.environ[FOLDER]).expanduser())
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    places.append(Path(data).expanduser() / "posemamba" / "weights")
    checkout = package.parents[2]  # of src/posemamba/weights
    if package.parent.parent.name == "src" and (checkout / "pyproject.toml").is_file():
        places.append(checkout / "weights")
    return places


def known() -> dict[str, Path]:
    """Names of all weights that are found by name here, and the first file of each; of two of one name the first."""
    return _named(folders())


def _named(places: list[Path]) -> dict[str, Path]:
    return {name: path for place in reversed(places) for name, path in shards.named(place).items()}


def find(source: str | Path) -> Path:
    """The file of a name or a path; of shards the first, whichever is named, or if a single file's path is.

    Raises:
        PoseMambaError: neither a known name nor a file; shards that are not all there.
    """
    names = known()
    if str(source) in names:
        return parts(shards.only(names[str(source)].parent, str(source)) or names[str(source)])[0]
    path = Path(source)
    if path.is_file():
        return parts(path)[0]
    first = shards.only(path.parent, name_of(path)) if path.suffix == shards.SUFFIX else None
    if first is not None:  # of a single file's path its shards are meant; of a shard's path parts says what is missing
        return parts(first if name_of(path) == path.stem else path)[0]
    said = ", ".join(sorted(names)) or "none"
    raise PoseMambaError(
        f"no weights '{source}': neither a file nor a known name ({said}); looked in {', '.join(map(str, folders()))}"
    )
