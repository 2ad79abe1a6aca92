"""ONNX Runtime, imported with its reports to its maker switched off."""

from __future__ import annotations

import os
from types import ModuleType

from posemamba.utils.errors import require


def load_onnx_runtime(extra: str) -> ModuleType:
    """Import ONNX Runtime; nothing else of this package may import it.

    Args:
        extra: the extra that installs it, for the error.

    Raises:
        PoseMambaError: it is not installed, or does not load.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library loads; on by default from 1.29 on
    runtime = require("onnxruntime", extra)
    getattr(runtime, "disable_telemetry_events", lambda: None)()  # Windows' own event log, not in every build
    return runtime
