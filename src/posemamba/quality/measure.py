"""All checks of one person's result, and their faults in order."""

from __future__ import annotations

from posemamba.poses import Motion3D, Poses3D
from posemamba.quality.body import check_bends, check_bones, check_flips
from posemamba.quality.common import Clip, Fault, Found, prepare
from posemamba.quality.detection import check_detection
from posemamba.quality.expected import check_expected
from posemamba.quality.place import check_feet, check_reprojection, check_smoothness
from posemamba.quality.result import CHECKS, Quality

_SECTIONS = {
    "detection": check_detection,
    "bones": check_bones,
    "flips": check_flips,
    "feet": check_feet,
    "bends": check_bends,
    "smoothness": check_smoothness,
    "reprojection": check_reprojection,
    "expected": check_expected,
}


def measure_quality(poses: Poses3D, motion: Motion3D | None = None) -> Quality:
    """Look for what is wrong with one person's result.

    Args:
        poses: as the model gave them.
        motion: refined from them; None: only the poses are looked at.

    Raises:
        PoseMambaError: frame times that do not rise, or a pose without size.
    """
    clip = prepare(poses, motion)
    found = {name: check(clip) for name, check in _SECTIONS.items()}
    return Quality(
        poses.keypoints.person,
        poses.keypoints.source,
        clip.times,
        poses.seen,
        {name: one.numbers for name, one in found.items()},
        _once(clip, found),
        {name: values for one in found.values() for name, values in one.series.items()},
        [remark for one in found.values() for remark in one.remarks],
    )


def _once(clip: Clip, found: dict[str, Found]) -> list[Fault]:
    """The faults in order of time; what follows from another fault of the same limb is not told twice.

    A joint bends wrongly because its limb has flipped.
    """
    faults = [fault for one in found.values() for fault in one.faults]
    limbs = {"knee": ("thigh", "shin"), "elbow": ("upper arm", "forearm")}

    def told(fault: Fault) -> bool:
        if fault.check != "bend":
            return False
        side, _, part = fault.part.partition(" ")
        causes = {("flip", f"{side} {limb}") for limb in limbs[part]}
        near = [f for f in faults if f.first - 1 <= fault.last and fault.first <= f.last + 1]
        return any((f.check, f.part) in causes for f in near)

    return sorted((f for f in faults if not told(f)), key=lambda f: (f.first, CHECKS.index(f.check), f.part))
