"""Recipes as YAML: found by name or path, put together from bases and values by size, changed by settings.

What is put together is a plain mapping; `posemamba.train.recipe` checks it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from posemamba.models.registry import ARCHITECTURES
from posemamba.train.losses import LOSSES
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading
from posemamba.utils.yaml_files import read_yaml

_LONGEST = 20
"""Recipes that are based on each other, one after another."""
WHOLE = ("lengths",)
"""Mappings that are replaced as a whole where a recipe is based on another: their shares belong together."""


def bundled() -> dict[str, Path]:
    """Return the recipes of the package: name and file."""
    folder = Path(str(resources.files("posemamba.train"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def summary(path: Path) -> str:
    """Return the comment in a recipe's first line: what it trains."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find(source: str | Path, beside: Path | None = None) -> Path:
    """Return the file of a bundled recipe's name, or of a path.

    Args:
        source: name or path.
        beside: the recipe that names this one as its base; paths are relative to its folder.

    Raises:
        PoseMambaError: neither a known name nor a file.
    """
    known = bundled()
    if str(source) in known:
        return known[str(source)]
    path = Path(source) if beside is None else beside.parent / source
    context = "" if beside is None else f"{beside}: base: "
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a circle of links; a name that no file can have
        raise PoseMambaError(
            f"{context}{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    if path.is_file():
        return path
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        raise PoseMambaError(f"{context}{path}: cannot be read ({'a folder' if path.is_dir() else 'no such file'})")
    guess = nearest(str(source), known)
    raise PoseMambaError(
        f"{context}no recipe '{source}': neither a file nor one of {', '.join(known)}"
        + (f"; did you mean {guess}?" if guess else "")
    )


def read(
    source: str | Path,
    size: str | None = None,
    seen: Callable[[str | Path, Mapping[str, Any]], None] = lambda source, content: None,
) -> dict[str, Any]:
    """Read a recipe with the recipes that it is based on, and the values that it has for the model's size.

    Each recipe goes before its base. Mappings are merged field by field, but for those named in WHOLE.

    Args:
        source: name of a bundled recipe, or path of a YAML file.
        size: of the model, in place of the recipe's.
        seen: called with each file's name and fields before they are put together.

    Raises:
        PoseMambaError: no such recipe, not YAML, a base that is missing or circular.
    """
    path = find(source)
    with reading(path, "a recipe"):
        return _read(path, size, seen)


def _read(path: Path, size: str | None, seen: Callable[[str | Path, Mapping[str, Any]], None]) -> dict[str, Any]:
    layers = _layers(path, ())
    for layer in reversed(layers):
        seen(path, layer)
    models = [layer["model"] for layer in layers if isinstance(layer.get("model"), dict)]
    kind = next((model["kind"] for model in models if "kind" in model), "posemamba")
    known = ARCHITECTURES[kind].sizes if isinstance(kind, str) and kind in ARCHITECTURES else ("",)
    chosen = size or next((str(model["size"]) for model in models if "size" in model), known[0])
    name = layers[0].get("name", f"{path.stem}_{chosen}")
    content: dict[str, Any] = {}
    for layer in reversed(layers):
        sizes = layer.pop("sizes", {})
        if not isinstance(sizes, dict) or not all(isinstance(each, dict) for each in sizes.values()):
            raise PoseMambaError(f"{path}: sizes: expected a mapping of sizes to fields and values")
        content = merged(merged(content, layer), sizes.get(chosen, {}))
    if size is not None:
        content = merged(content, {"model": {"size": size}})
    return {**content, "name": name}


def _layers(path: Path, users: tuple[Path, ...]) -> list[dict[str, Any]]:
    """Fields of a recipe, of its base, of that one's base and so on; `users` are the recipes on the way here."""
    content = read_yaml(path, "a recipe")
    if content is None:
        content = {}
    if not isinstance(content, dict):
        found = type(content).__name__
        raise PoseMambaError(f"{path}: a recipe is a mapping of fields to values, this is a {found}")
    if "base" not in content:
        return [content]
    base = content.pop("base")
    if not isinstance(base, str):
        raise PoseMambaError(f"{path}: base: expected a recipe's name, or the path of one, got {str(base)[:100]}")
    with reading(path, "a recipe"):
        users, below = (*users, path.resolve()), find(base, path)
        if below.resolve() in users:
            raise PoseMambaError(f"{path}: base: {base} is based on this recipe itself")
    if len(users) > _LONGEST:
        raise PoseMambaError(f"{path}: base: {base} is the {len(users)}th recipe of a chain, expected {_LONGEST}")
    return [content, *_layers(below, users)]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put `over` on top of `base`; where both have a mapping, field by field, but for those named in WHOLE."""
    both = {
        k: merged(base[k], v)
        for k, v in over.items()
        if isinstance(v, dict) and isinstance(base.get(k), dict) and k not in WHOLE
    }
    return {**base, **over, **both}


# --- settings: key=value


def apply(settings: Sequence[str], content: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Change a recipe by settings such as ``model.options.depth=6``.

    Args:
        settings: keys with dots (of a list's item its number), and YAML values.
        content: the recipe, as `read` gives it.
        resolved: the same with all fields, those with defaults too.

    Returns:
        A changed copy of `content`.

    Raises:
        PoseMambaError: no value, or a key that does not exist; the nearest one is named.
    """
    changed = copy.deepcopy(dict(content))
    known = _with_options(resolved, settings)
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise PoseMambaError(f"--set {setting}: expected KEY=VALUE, e.g. lr=1e-3")
        try:
            value = _number(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a 30th of February
            raise PoseMambaError(f"--set {setting}: not a YAML value ({' '.join(str(error).split())})") from error
        _put(changed, known, key, value, setting)
    return changed


def _put(content: Any, known: Any, key: str, value: Any, setting: str) -> None:
    *way, last = parts = key.split(".")
    whole = known
    for part in way:
        step = _step(known, part, key, whole, setting)
        missing = step not in content if isinstance(content, dict) else False
        if missing:  # a list is taken over before one of its items changes, and so are shares of lengths and losses
            content[step] = copy.deepcopy(known[step]) if _is_open(known[step], part) else {}
        content, known = content[step], known[step]
        if isinstance(known, tuple):
            known = list(known)
        if not isinstance(known, dict | list):
            raise PoseMambaError(f"--set {setting}: {'.'.join(parts[: way.index(part) + 1])} has no fields")
    content[_step(known, last, key, whole, setting)] = value


def _is_open(value: Any, name: str) -> bool:
    return isinstance(value, list | tuple) or name in (*WHOLE, "losses")


def _step(known: Any, part: str, key: str, whole: Any, setting: str) -> Any:
    if isinstance(known, list):
        if not part.isdecimal() or int(part) >= len(known):
            raise PoseMambaError(f"--set {setting}: '{part}' is not an item of the {len(known)} there: 0 and so on")
        return int(part)
    if part in known or key == f"optimizer_options.{part}":  # a registered optimizer's arguments have any names
        return part
    if part.isdecimal() and all(isinstance(each, int) for each in known):  # frames of clips: any will do
        return int(part)
    what = LOSSES.unknown([part]) if key.startswith("losses.") else f"no field {key}"
    guess = nearest(key, [name for name, _ in names(whole)])
    raise PoseMambaError(f"--set {setting}: {what}" + (f"; did you mean {guess}?" if guess else ""))


def _with_options(resolved: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """All fields that can be set: also those of the model's config and the losses that the recipe leaves out."""
    whole = copy.deepcopy(dict(resolved))
    chosen = {key.strip(): value.strip() for key, _, value in (setting.partition("=") for setting in settings)}
    model, kind = whole["model"], chosen.get("model.kind", "")
    if kind != model["kind"] and kind in ARCHITECTURES:  # options of the model that is chosen here
        model["kind"], model["size"] = kind, ARCHITECTURES[kind].sizes[0]
    architecture = ARCHITECTURES[model["kind"]]
    defaults = architecture.config.preset(whole["model"]["size"]).model_dump()
    whole["model"]["options"] = {**defaults, **whole["model"]["options"]}
    for key in chosen:
        if key.startswith("losses."):  # one of an installed plugin is known once it was asked for
            LOSSES.get(key.removeprefix("losses."))
    whole["losses"] = {**dict.fromkeys(LOSSES, 0.0), **whole["losses"]}
    return _lists(whole)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, list | tuple) else value


def _number(value: Any) -> Any:
    """YAML's value; numbers such as 1e-3, which YAML 1.1 takes for text, too."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def names(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names of all fields, and their values."""
    for name, value in fields.items():
        yield f"{prefix}{name}", value
        if isinstance(value, dict):
            yield from names(value, f"{prefix}{name}.")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a name, by its last part or as a whole; None: none is like it."""

    name = name[:200]  # the work grows with the square

    def likeness(other: str) -> float:
        last, other_last = name.rsplit(".", 1)[-1], other.rsplit(".", 1)[-1]
        parts = SequenceMatcher(None, last, other_last).ratio()
        return max(parts, SequenceMatcher(None, name, other).ratio(), 0.9 if last and last in other_last else 0.0)

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.6 else None
