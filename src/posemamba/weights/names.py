"""Weights by name, and the folders in which they are looked for.

A name is that of a ``.safetensors`` file, or of its shards (`posemamba.weights.shards`), in one of `folders`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.installation import weights_folders
from posemamba.weights import hub, layout, shards
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
        source: a known name, a file, any of a file's shards, the path that the single file would have, a folder with a
            model.safetensors (`posemamba.weights.layout`), or ``hf://owner/name``, which is downloaded.

    Raises:
        PoseMambaError: neither a known name nor a file or folder, some shards are missing, or a download failed.
    """
    repository = hub.repository_of(source)
    if repository is not None:
        return _in_folder(hub.download(repository), str(source))
    names = known()
    if str(source) in names:
        return parts(shards.only(names[str(source)].parent, str(source)) or names[str(source)])[0]
    path = Path(source)
    if path.is_file():
        return parts(path)[0]
    if path.is_dir():
        return _in_folder(path, str(source))
    first = shards.only(path.parent, name_of(path)) if path.suffix == shards.SUFFIX else None
    if first is not None:  # a single file's path stands for its shards; for a shard's, `parts` reports missing ones
        return parts(first if name_of(path) == path.stem else path)[0]
    listed = ", ".join(sorted(names)) or "none"
    raise PoseMambaError(
        f"no weights '{source}': neither a file nor a known name ({listed}); looked in {', '.join(map(str, folders()))}"
    )


def _in_folder(folder: Path, source: str) -> Path:
    """Return the first weights file of a folder in Hugging Face's layout."""
    first = shards.only(folder, layout.NAME)
    if first is None:
        raise PoseMambaError(
            f"{source}: holds no {layout.WEIGHTS}: expected a folder as PoseMamba.save_pretrained writes it, or the "
            "path of a weights file"
        )
    return parts(first)[0]


def title(source: str | Path, path: Path) -> str:
    """Return the name to call weights by: of a repository or folder its own, of a file the file's.

    Args:
        source: what the user named.
        path: what `find` found.
    """
    repository = hub.repository_of(source)
    if repository is not None:
        return repository
    in_folder = name_of(path) == layout.NAME and (path.parent / layout.CONFIG).is_file()
    return path.resolve().parent.name if in_folder else name_of(path)
