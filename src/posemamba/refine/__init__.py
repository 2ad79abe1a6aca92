"""Refinement: smoothing, metres, the root's path, steady bones and feet, upright world, joint angles.

All steps are optional, and each is recorded. The lifted poses stay unchanged beside the result (`Poses3D.network`).
Each step also works alone, from `Poses3D` to `Poses3D`. See docs/refine.md for what each does, and how well.
"""

from __future__ import annotations

from posemamba.utils.lazy import lazy_names

_HOMES = {
    "RefineOptions": "posemamba.refine.refinement",
    "angle_errors": "posemamba.refine.angle_accuracy",
    "joint_angles": "posemamba.refine.angles",
    "refine": "posemamba.refine.refinement",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
