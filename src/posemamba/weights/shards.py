"""Weights in one safetensors file, or in several shards: ``name-00001-of-00002.safetensors`` and so on.

The shards' names are Hugging Face's; a single file is plainly ``name.safetensors``. There is no index file: the names
give the number of shards, and their headers the tensors that they hold. All shards are always read, as a model needs
every tensor. The metadata are the same in every shard, with ``set``, the hash of all tensors, so shards that do not
belong together are found.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.reading import reading

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.DOTALL)


def name_of(path: Path) -> str:
    """Return the name of weights from the path of one of their files: without suffix and numbers."""
    return _shard_of(path)[0]


def parts(path: Path) -> list[Path]:
    """Return all files of the weights to which a file belongs, in order.

    Raises:
        PoseMambaError: some shards are missing.
    """
    name, number, count = _shard_of(path)
    if not number:
        return [path]
    there = [path.parent / f"{name}-{i:05d}-of-{count:05d}{SUFFIX}" for i in range(1, count + 1)]
    missing = [shard for shard in there if not shard.is_file()]
    if missing:
        found = [shard.name for shard in there if shard not in missing]
        beside = f"found {_listed(found)} there" if found else "found none of them there"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PoseMambaError(
            f"{missing[0]}{more}: no such file; these weights are {count} files in one folder, {beside}: "
            "put the others there, too, or write all of them again (posemamba export)"
        )
    return there


def named(folder: Path) -> dict[str, Path]:
    """Return the weights in a folder: name to first file. `only` checks that a name is not there twice."""
    found: dict[str, Path] = {}
    for path in _files(folder):
        found.setdefault(name_of(path), path)
    return found


def only(folder: Path, name: str) -> Path | None:
    """Return the first file of the weights of that name in a folder, or None.

    Raises:
        PoseMambaError: there are several sets: a single file and shards, or shards of several counts.
    """
    firsts: dict[int, Path] = {}
    for path in _files(folder):
        if name_of(path) == name:
            firsts.setdefault(_shard_of(path)[2], path)
    if len(firsts) > 1:
        files = _listed([path.name for path in firsts.values()])
        raise PoseMambaError(
            f"{folder}: holds several sets of weights named '{name}' ({files}), expected one: delete all but one set, "
            "or give the path of a file of the one that you want"
        )
    return next(iter(firsts.values()), None)


def read(path: Path, tensors: bool = True) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a safetensors file and all shards that belong to it.

    Args:
        path: the file, or any of the shards.
        tensors: False: read the headers alone.

    Returns:
        The metadata without ``set``, and the tensors by name.

    Raises:
        PoseMambaError: a file is missing, damaged or belongs to other weights.
    """
    metadata: list[dict[str, str]] = []
    state: dict[str, Tensor] = {}
    where: dict[str, Path] = {}
    files = parts(path)
    for part in files:
        try:
            with reading(part, "a safetensors file"), safe_open(part, "pt") as file:
                metadata.append(dict(file.metadata() or {}))
                names = list(file.keys())
                read_here = {name: file.get_tensor(name) for name in names} if tensors else {}
        except PoseMambaError as error:
            raise PoseMambaError(f"{part}: damaged, truncated or not a safetensors file ({error.__cause__})") from error
        pair = f"{part}: does not belong to {files[0].name} beside it"
        advice = f"put all {len(files)} files of one export there"
        if differ := [key for key in {**metadata[0], **metadata[-1]} if metadata[0].get(key) != metadata[-1].get(key)]:
            other = "other tensors" if differ == ["set"] else f"another {', '.join(k for k in differ if k != 'set')}"
            raise PoseMambaError(
                f"{pair}: found {other}, expected the same in each of the {len(files)} files: {advice}"
            )
        if twice := [name for name in names if name in where]:
            raise PoseMambaError(
                f"{part}: holds '{twice[0]}', which is in {where[twice[0]].name}, too: found a copy of it, expected "
                f"another file of these weights: {advice}"
            )
        where.update(dict.fromkeys(names, part))
        state.update(read_here)
    metadata[0].pop("set", None)
    return metadata[0], state


def write(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], most: int | None = None
) -> list[Path]:
    """Write one safetensors file, or as many shards as needed for each to have at most `most` bytes.

    All files are written before the first gets its name. Only then are older files of the same name and ``format``
    removed: a single file, or shards of another count. A set that was interrupted between two renames is refused by
    `read`.

    Args:
        path: the name of a single file; shards get their numbers before its suffix.
        tensors: in main memory, contiguous.
        metadata: the header of each file; ``format`` tells which older files may be replaced.
        most: the largest size of a file in bytes, header included; None: one file of any size.

    Returns:
        The files, in order.

    Raises:
        PoseMambaError: the name is a shard's, or belongs to files of another format; or one tensor exceeds `most`.
    """
    from safetensors.torch import save, save_file  # imports PyTorch

    path = Path(path)
    if _shard_of(path)[1]:
        raise PoseMambaError(f"{path}: is the name of a shard; leave the numbers out: {name_of(path)}{SUFFIX}")
    if most is not None and path.suffix != SUFFIX:
        raise PoseMambaError(f"{path}: expected a name that ends with {SUFFIX}")
    metadata = dict(metadata)
    groups = [list(tensors)]
    if most is not None and _bound(tensors, metadata) > most:
        metadata["set"] = hashlib.sha256(save(dict(tensors))).hexdigest()
        groups = _groups(path, tensors, metadata, most)
    count = len(groups)
    files = [path]
    if count > 1:
        files = [path.with_name(f"{path.stem}-{i:05d}-of-{count:05d}{SUFFIX}") for i in range(1, count + 1)]
    older = [old for old in _files(path.parent) if name_of(old) == path.stem and old not in files]
    older = older if path.suffix == SUFFIX else []
    for old in older:
        if _format(old) != metadata.get("format", ""):
            raise PoseMambaError(
                f"{old}: has the name '{path.stem}' already, and is not readable as weights of this format: "
                f"choose another name than {path}, or delete it"
            )
    with ExitStack() as stack:  # on leaving it without an error, the files get their names
        for file, group in zip(files, groups, strict=True):
            save_file({name: tensors[name] for name in group}, stack.enter_context(atomic_path(file)), metadata)
    for old in older:
        old.unlink(missing_ok=True)
    return files


def _shard_of(path: Path) -> tuple[str, int, int]:
    """Return a shard's name, its number from 1 and the count; number and count are 0 for a single file."""
    match = _SHARD.fullmatch(path.stem) if path.suffix == SUFFIX else None
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]):
        return path.stem, 0, 0
    return match["name"], int(match["number"]), int(match["count"])


def _files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, without hidden ones, which are being written."""
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if not path.name.startswith(".")]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _format(path: Path) -> str | None:
    try:
        with safe_open(path, "pt") as file:
            return str((file.metadata() or {}).get("format"))
    except (SafetensorError, OSError):
        return None


def _bound(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Return an upper bound of a file's size in bytes: length, header (JSON, padded to a multiple of 8), tensors."""
    return 16 + len(json.dumps({"__metadata__": metadata})) + sum(_cost(name, tensors[name]) for name in tensors)


def _cost(name: str, tensor: Tensor) -> int:
    """Return an upper bound of the bytes that a tensor adds to a file."""
    entry = {name: {"dtype": "F8_E4M3FNUZ", "shape": list(tensor.shape), "data_offsets": [10**12, 10**12]}}
    return len(json.dumps(entry)) + tensor.numel() * tensor.element_size()


def _groups(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], most: int) -> list[list[str]]:
    """Return the tensors' names for each file: in order, each file is filled until the next tensor does not fit."""
    empty = _bound({}, metadata)
    groups: list[list[str]] = []
    size = most + 1
    for name, tensor in tensors.items():
        cost = _cost(name, tensor)
        if empty + cost > most:
            raise PoseMambaError(
                f"{path}: a file of at most {most:,} bytes cannot hold '{name}' and the header, which take "
                f"{empty + cost:,}: allow more"
            )
        if size + cost > most:
            groups.append([])
            size = empty
        groups[-1].append(name)
        size += cost
    return groups
