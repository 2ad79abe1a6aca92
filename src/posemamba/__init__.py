"""PoseMamba: monocular 3D human pose from video.

>>> import posemamba
>>> lifter = posemamba.Lifter.from_pretrained("posemamba-s")
>>> poses = lifter(keypoints)  # Keypoints2D -> Poses3D
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posemamba.lifting.lifter import Lifter
    from posemamba.models.posemamba import PoseMamba, PoseMambaConfig
    from posemamba.poses import Keypoints2D, Poses3D
    from posemamba.utils.errors import PoseMambaError

    __version__: str

__all__ = [
    "Keypoints2D",
    "Lifter",
    "PoseMamba",
    "PoseMambaConfig",
    "PoseMambaError",
    "Poses3D",
    "__version__",
]

# Imported when first used: PyTorch alone takes about a second.
_HOMES = {
    "Keypoints2D": "posemamba.poses",
    "Lifter": "posemamba.lifting.lifter",
    "PoseMamba": "posemamba.models.posemamba",
    "PoseMambaConfig": "posemamba.models.posemamba",
    "PoseMambaError": "posemamba.utils.errors",
    "Poses3D": "posemamba.poses",
}


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("posemamba")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'posemamba' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
