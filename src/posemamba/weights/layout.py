"""The layout of a model's folder on the Hugging Face Hub: config.json, model.safetensors and README.md.

The header of model.safetensors says all that a weights file says; config.json repeats it where other programs look.
Tensors without such a header, as other programs write them, are understood with config.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading
from posemamba.utils.yaml_files import is_small
from posemamba.weights import shards

NAME = "model"
WEIGHTS, CONFIG, README = f"{NAME}{shards.SUFFIX}", "config.json", "README.md"
_LARGEST = 2**24
_PLAIN = ("format", "skeleton", "normalisation")
_MOST_WORDS = 400


def config_json(metadata: Mapping[str, str]) -> str:
    """Write a weights file's header as config.json."""
    fields = {
        "model_type": metadata["model"],
        "library_name": "posemamba",
        **{key: metadata[key] for key in _PLAIN},
        "config": json.loads(metadata["config"]),
        "card": json.loads(metadata["card"]),
    }
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def completed(path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """Return a weights file's header, by the config.json beside it if the file is a folder's model.safetensors.

    Args:
        path: the weights file.
        metadata: its header; without a ``format`` that of config.json counts.

    Raises:
        PoseMambaError: config.json is damaged, or says another config than the header.
    """
    beside = path.parent / CONFIG
    if shards.name_of(path) != NAME or not beside.is_file():
        return metadata
    fields = _read(beside)
    if fields.get("format") is None or not isinstance(fields.get("config"), dict):
        return metadata  # another program's
    if "format" not in metadata or "config" not in metadata:
        header = {key: str(fields[key]) for key in _PLAIN if key in fields}
        config, card = json.dumps(fields["config"]), json.dumps(fields.get("card", {}))
        return {**header, "model": str(fields.get("model_type")), "config": config, "card": card}
    with reading(path, "a weights file"):
        said = json.loads(metadata["config"])
        if not isinstance(said, dict):
            raise PoseMambaError(
                f"{path}: the config in its header is a {type(said).__name__}, expected fields and values"
            )
    if said != fields["config"]:
        differ = sorted(key for key in {**said, **fields["config"]} if said.get(key) != fields["config"].get(key))
        raise PoseMambaError(
            f"{beside}: its config is not that of the header of {path.name} beside it ({', '.join(differ[:3])}): take "
            "both files of one model, or write them again by save_pretrained"
        )
    return metadata


def _read(path: Path) -> dict[str, Any]:
    with reading(path, "JSON"):
        if path.stat().st_size > _LARGEST:
            raise PoseMambaError(f"{path}: has {path.stat().st_size:,} bytes, too many for a model's config")
        fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict) or not is_small(fields):
        raise PoseMambaError(f"{path}: expected a JSON object of a model's config")
    return fields


def readme(metadata: Mapping[str, str]) -> str:
    """Write a model card of a weights file's header: tags, use, input, config, and the card's fields."""
    config, card = json.loads(metadata["config"]), json.loads(metadata["card"])
    tags = ["3d-human-pose-estimation", "pose-lifting", metadata["model"]]
    front = ["---", "library_name: posemamba", "pipeline_tag: keypoint-detection", "tags:"]
    front += [f"- {tag}" for tag in tags]
    licence = str(card.get("license") or card.get("licence") or "").lower().partition(";")[0].strip()
    front += [f"license: {licence}"] if re.fullmatch(r"[a-z][a-z0-9.+-]*[0-9.][a-z0-9.+-]*|mit|isc", licence) else []
    front += _scores(str(card.get("name") or metadata["model"]), card.get("benchmark_mm"))
    confidence = ", confidence from 0 (not found) to 1" if config.get("confidence") else ""
    size = card.get("person_size")
    scale = (
        f" x and y are multiplied so that the root mean square distance of the joints from their mean in a frame is "
        f"{size:g}; the output is divided by that factor."
        if isinstance(size, int | float)
        else ""
    )
    grid = f"clips, up to {config.get('frames')} frames, {config.get('joints')} joints, x and y{confidence}"
    lines = [
        *front,
        "---",
        "",
        f"# {card.get('name') or metadata['model']}",
        "",
        f"A model of the kind {metadata['model']}: it lifts 2D joints of a clip to 3D.",
        "",
        "```python",
        "import posemamba",
        "",
        'lifter = posemamba.Lifter.from_pretrained("hf://OWNER/NAME")  # or the folder',
        "```",
        "",
        "## Input and output",
        "",
        f"The input is ({grid}) of the skeleton {metadata['skeleton']}. "
        f"Normalised coordinates: {metadata['normalisation']}.{scale}",
        "",
        "## Config",
        "",
        *(f"- {key}: {_shown(value)}" for key, value in config.items()),
    ]
    for key, value in card.items():
        if key in ("name", "model"):
            continue
        lines += ["", f"## {key.replace('_', ' ').capitalize()}", ""]
        lines += [_shown(value)] if not isinstance(value, dict | list) else ["```json", _shown(value), "```"]
    return "\n".join(lines) + "\n"


def _scores(name: str, benchmark: object) -> list[str]:
    """Write a card's scores on the motion capture benchmark as the Hub's `model-index`; nothing where it has none."""
    if not isinstance(benchmark, dict):
        return []
    scores = [
        {"name": f"{metric}, {joints} 2D joints, mm", "type": metric.lower(), "value": value}
        for joints in ("exact", "noisy")
        if isinstance(benchmark.get(joints), dict)
        for metric, value in benchmark[joints].items()
        if isinstance(value, int | float)
    ]
    result = {
        "task": {"type": "keypoint-detection", "name": "3D human pose lifting"},
        "dataset": {"type": "cmu-mocap", "name": "CMU motion capture, posemamba's benchmark"},
        "metrics": scores,
    }
    index = [{"name": name, "results": [result]}]
    return [f"model-index: {json.dumps(index, ensure_ascii=False)}"] if scores else []  # JSON is YAML


def _shown(value: object) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text.split()) <= _MOST_WORDS else "in config.json"
