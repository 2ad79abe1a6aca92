"""An examination of the installation: packages, the scan that runs here and why, and its correctness."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model
from posemamba.ops import scan
from posemamba.ops.runtime import triton as triton_support
from posemamba.ops.scan.selftest import check_scan
from posemamba.utils.errors import PoseMambaError, install_command
from posemamba.utils.reading import cause
from posemamba.weights.names import bundled
from posemamba.weights.shards import parts

_NEEDS = {
    "videos cannot be read": {"av"},
    "pictures cannot be read": {"pillow"},
    "joints are not found by BlazePose": {"ai-edge-litert", "BlazePose"},
    "no overlay.mp4 is drawn": {"av", "pillow"},
}
"""Consequences of missing packages of the extra for videos: what is said, and the packages that it needs."""

_LARGEST_SCAN_ERROR = 1e-4  # relative to the largest output; float32 gives about 1e-6


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        about: what it is about.
        text: what was found; for a problem also what to do.
        problem: something is wrong; an extra that is not installed is not.
        lacks: what does not work here, and why, where nothing is wrong; "" if all does.
    """

    about: str
    text: str
    problem: bool = False
    lacks: str = ""


def examine(*, speed: bool = True) -> Iterator[Finding]:
    """Look at the installation, finding by finding; the last ones run the scan and the model.

    Args:
        speed: also time a forward pass of PoseMamba-S.
    """
    yield Finding("posemamba", f"{version('posemamba')}, Python {platform.python_version()}, {platform.platform()}")
    packages = {name: _version(name) for name in ("torch", "numpy", "numba", "triton")}
    yield Finding("packages", ", ".join(f"{name} {found or 'not installed'}" for name, found in packages.items()))
    devices = [torch.device("cpu")]
    yield Finding("cpu", f"{platform.machine()}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Finding("gpu", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
        slower = triton_support.why_not(torch.device("cuda"))
        yield Finding("kernels around the scan", f"PyTorch's, slower: {slower}" if slower else "Triton's")
    else:
        yield Finding("gpu", "none that PyTorch can use: the CPU is used")
    forced = os.environ.get("POSEMAMBA_SCAN", "")
    yield Finding("POSEMAMBA_SCAN", f"'{forced}' forces this scan backend" if forced else "not set: nothing is forced")
    for device in devices:
        backend, reason = scan.why(device)
        try:
            chosen = scan.choose_backend(device, torch.float32)
        except PoseMambaError as error:
            yield Finding(f"scan on {device}", str(error), problem=True)
            continue
        why = reason if chosen == backend else f"forced by POSEMAMBA_SCAN; otherwise {backend} ({reason})"
        yield Finding(f"scan on {device}", f"{chosen}: {why}")
    yield from _kept_kernels()
    yield from _extras()
    yield from _weights()
    for device in devices:
        yield _scan_test(device)
    if speed:
        for device in devices:
            yield _forward_time(device)


def _kept_kernels() -> Iterator[Finding]:
    """Tell where compiled kernels of the CPU are kept."""
    try:
        from posemamba.ops.fused.cpu.kernels import fingerprint
        from posemamba.ops.runtime.caching import folder_of

        where = folder_of(fingerprint)
    except Exception as error:
        yield Finding("compiled kernels", f"Numba's kernels do not load: {cause(error)}", problem=True)
        return
    nowhere = "nowhere, so they are compiled at every start: name a folder that can be written by NUMBA_CACHE_DIR"
    yield Finding("compiled kernels", f"kept in {where}" if where else nowhere)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extras() -> Iterator[Finding]:
    """Import what the extras bring: a package that is there may still not load."""
    from posemamba.detect.blazepose import BlazePoseDetector
    from posemamba.detect.rtmpose import load_runtime

    for extra, modules in (
        ("video", {"av": "av", "PIL": "pillow", "ai_edge_litert": "ai-edge-litert"}),
        ("rtmpose", {"rtmlib": "rtmlib", "onnxruntime": "onnxruntime"}),
        ("train", {"lightning.pytorch": "lightning"}),
        ("plot", {"matplotlib": "matplotlib"}),
        ("hdf5", {"h5py": "h5py"}),
        ("onnx", {"onnx": "onnx"}),
        ("hub", {"huggingface_hub": "huggingface_hub"}),
        ("cluster", {"ray": "ray", "fsspec": "fsspec"}),
    ):
        found, missing, failing, absent = [], [], [], []
        if extra == "rtmpose":
            with contextlib.suppress(PoseMambaError):
                load_runtime()  # never without its switch against reports
        for module, package in modules.items():
            try:
                importlib.import_module(module)
                found.append(f"{package} {_version(package)}")
            except ImportError as error:
                missing.append(f"{package} ({error})")
                absent.append(package)
            except Exception as error:  # one that loads half: no memory, no temporary folder
                failing.append(f"{package} ({cause(error)})")
                absent.append(package)
        if extra == "video" and not absent:
            try:
                BlazePoseDetector().close()
            except PoseMambaError as error:
                missing.append(f"BlazePose ({error})")
                absent.append("BlazePose")
        lacks = f"; missing: {', '.join(missing)}: {install_command(extra)}" if missing else ""
        lacks += f"; there, but failing: {', '.join(failing)}" if failing else ""
        about, text = f"extra '{extra}'", (", ".join(found) or "nothing of it is there") + lacks
        lost = "; ".join(work for work, needs in _NEEDS.items() if extra == "video" and needs.intersection(absent))
        yield Finding(about, text, lacks=f"{', '.join(absent)} missing: {lost}" if lost else "")


def _weights() -> Iterator[Finding]:
    known = bundled()
    if not known:
        yield Finding("weights", "none came with the package: install it again", problem=True)
    for name, path in known.items():
        try:
            model = load_model(path)
        except PoseMambaError as error:
            yield Finding("weights", str(error), problem=True)
            continue
        millions = sum(p.numel() for p in model.parameters()) / 1e6
        size = sum(part.stat().st_size for part in parts(path)) / 2**20
        yield Finding("weights", f"{name}: {millions:.2f} M parameters, {model.config.frames} frames, {size:.1f} MiB")


def _scan_test(device: torch.device) -> Finding:
    about = f"self-test on {device}"
    try:
        error = check_scan(device)
    except Exception as failed:  # whatever is wrong with the installation, the report goes on
        reason = (str(failed).strip().splitlines() or [""])[0]
        return Finding(about, f"the scan fails: {type(failed).__name__}: {reason}", problem=True)
    if not error < _LARGEST_SCAN_ERROR:
        return Finding(about, f"the scan is wrong: {error:.1e} off the float64 reference", problem=True)
    return Finding(about, f"the scan agrees with the float64 reference to {error:.0e}")


def _forward_time(device: torch.device) -> Finding:
    about = f"speed on {device}"
    try:
        model = PoseMamba.preset("s").to(device).eval()
        x = torch.randn(1, model.config.frames, model.config.joints, 2, device=device)
        seconds = []
        with torch.inference_mode():
            for _ in range(4):
                begin = time.perf_counter()
                model(x).cpu()
                seconds.append(time.perf_counter() - begin)
    except Exception as failed:
        reason = (str(failed).strip().splitlines() or [""])[0]
        return Finding(about, f"the model fails: {type(failed).__name__}: {reason}", problem=True)
    return Finding(
        about,
        f"PoseMamba-S, {model.config.frames} frames at once: {1e3 * min(seconds[1:]):.0f} ms "
        f"(the first time {1e3 * seconds[0]:.0f} ms)",
    )
