"""Export of a PoseMamba to an ONNX file: for runtimes without PyTorch, not for speed (docs/onnx.md).

The file holds what a program needs to know besides the graph: names and order of the joints, how the input is to be
normalised, the config and the card.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posemamba.models.onnx_graph import ERRORS, INPUT, OUTPUT, build_graph
from posemamba.models.posemamba import PoseMamba
from posemamba.poses.skeletons import get_skeleton
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path, writing
from posemamba.utils.onnx_runtime import load_onnx_runtime

FORMAT = "posemamba-onnx-1"
TOLERANCE = 1e-4
"""Largest difference of an output coordinate from PyTorch's, in normalised units."""
ERROR_TOLERANCE = 1e-3
"""Largest relative difference of an expected error, which is an exponential, from PyTorch's."""


def export_onnx(model: PoseMamba, out: str | Path, frames: int | None = None) -> dict[str, float] | None:
    """Write a model as an ONNX file of standard operators: float32, one clip, a fixed number of frames.

    Where onnxruntime is installed the file is run and compared with PyTorch before it gets its name.

    Args:
        model: any PoseMamba; `model.card` goes into the file.
        out: the file to write, whole or not at all.
        frames: T; None: as many as the model takes.

    Returns:
        The largest differences from PyTorch: `poses` in normalised units, `errors` relative. None: onnxruntime is not
        installed.

    Raises:
        PoseMambaError: the package onnx is not installed, the model does not take so many frames, the outputs differ by
            more than 1e-4, or the file cannot be written.
    """
    frames = model.config.frames if frames is None else frames
    if not 1 <= frames <= model.config.frames:
        raise PoseMambaError(f"{frames} frames asked for, the model takes 1 to {model.config.frames}")
    if model.config.merge_weight:
        raise PoseMambaError("a model with merge_weight, a trial, has no ONNX export")
    plain = copy.deepcopy(model).to("cpu", torch.float32).eval()
    proto = build_graph(plain, frames)
    for key, value in _facts(plain, frames).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content = proto.SerializeToString()
    differences = _compare(plain, content, frames)
    with writing(out), atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return differences


def _facts(model: PoseMamba, frames: int) -> dict[str, str]:
    """Return what the file says of itself: text by key."""
    config, card = model.config, model.card
    channels = "x, y" + (", confidence" if config.confidence else "")
    grid, size = f"1, {frames}, {config.joints}", card.get("person_size")
    facts = {
        "format": FORMAT,
        "model": "posemamba",
        "config": config.model_dump_json(),
        "card": json.dumps(card),
        "frames": str(frames),
        "input": f"{INPUT}: float32 ({grid}, {config.channels}): clip, frame, joint, ({channels})",
        "output": f"{OUTPUT}: float32 ({grid}, 3): x right, y down, z away from the camera, relative to the root",
        "normalisation": "x / W * 2 - 1, y / W * 2 - H / W; output times W / 2 is in pixels; W, H image size in pixels",
        "missing": "every x and y must be finite: fill joints that were not found, by interpolation over time",
    }
    skeleton = get_skeleton(config.skeleton)
    if config.joints == len(skeleton):
        facts["skeleton"] = skeleton.name
        facts["joints"] = json.dumps(skeleton.joints)
        facts["mirrored"] = json.dumps(skeleton.mirrored)
    if config.confidence:
        facts["confidence"] = "the detector's, from 0 (not found) to 1; 1 where it is not known"
    if isinstance(size, int | float):
        facts["person_size"] = f"{size:g}"
        facts["zoom"] = (
            "multiply normalised x and y by person_size / s, divide the outputs by the same factor; s: root mean "
            "square distance of the joints from their mean in each frame, over the clip"
        )
    if model.error_head is not None:
        facts["errors"] = f"{ERRORS}: float32 ({grid}): how far off each joint may be, in the unit of {OUTPUT}"
    return facts


def _compare(model: PoseMamba, content: bytes, frames: int) -> dict[str, float] | None:
    """Run an ONNX file and the model on the same random clip; return the largest differences.

    Raises:
        PoseMambaError: they are too large, or ONNX Runtime does not run the file.
    """
    try:
        runtime = load_onnx_runtime("onnx")
    except PoseMambaError:
        return None
    try:
        options: Any = runtime.SessionOptions()
        options.log_severity_level = 3  # errors
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        x = sample_input(model, frames)
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {INPUT: x}), strict=True))
    except Exception as error:  # ONNX Runtime raises kinds of its own
        raise PoseMambaError(f"ONNX Runtime {runtime.__version__} does not run the graph: {error}") from error
    with torch.inference_mode():
        given = torch.from_numpy(x)
        expected = dict(zip((OUTPUT, ERRORS), model.with_errors(given), strict=True)) if ERRORS in outputs else {}
        expected = expected or {OUTPUT: model(given)}
    differences = {name: _difference(name, outputs[name], tensor.numpy()) for name, tensor in expected.items()}
    for name, limit in ((OUTPUT, TOLERANCE), (ERRORS, ERROR_TOLERANCE)):
        if not differences.get(name, 0.0) <= limit:
            raise PoseMambaError(
                f"the ONNX graph's {name} differ from PyTorch's by {differences[name]:.1e}, more than {limit:g}: "
                "nothing was written"
            )
    return differences


def _difference(name: str, found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    apart = np.abs(found - expected)
    return float((apart / np.abs(expected)).max() if name == ERRORS else apart.max())


def sample_input(model: PoseMamba, frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw a clip in the range of real ones: a figure that moves smoothly, (1, T, J, C)."""
    random = np.random.default_rng(seed)
    joints, channels = model.config.joints, model.config.channels
    figure = random.normal(0, 0.2, (1, joints, 2))
    motion = np.cumsum(random.normal(0, 0.02, (frames, joints, 2)), axis=0)
    x = np.concatenate([figure + motion - motion.mean(0), random.uniform(0, 1, (frames, joints, 1))], -1)
    return x[None, ..., :channels].astype(np.float32)
