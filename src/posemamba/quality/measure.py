"""The quality of one person's poses, measured by all checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posemamba.poses import Poses3D
from posemamba.quality.body import check_bends, check_bones, check_flips
from posemamba.quality.common import Array, CheckResult, Fault, Mask, prepare
from posemamba.quality.detection import check_detection, check_expected
from posemamba.quality.limbs import check_limbs
from posemamba.quality.scene import check_feet, check_reprojection, check_smoothness

_SECTIONS = {
    "detection": check_detection,
    "limbs": check_limbs,
    "bones": check_bones,
    "flips": check_flips,
    "feet": check_feet,
    "bends": check_bends,
    "smoothness": check_smoothness,
    "reprojection": check_reprojection,
    "expected": check_expected,
}


def measure_quality(motion: Poses3D) -> Quality:
    """Check one person's poses.

    Most checks are made of what the network gave, before any refinement; feet, smoothness and what is told of
    refinement are measured in the result.

    Args:
        motion: a result of lifting.

    Raises:
        PoseMambaError: the frame times do not rise, or all joints of a frame are in one place.
    """
    poses, clip = motion.network, prepare(motion)
    results = {name: check(clip) for name, check in _SECTIONS.items()}
    return Quality(
        poses.keypoints.person,
        poses.keypoints.source,
        clip.times,
        poses.seen,
        {name: result.numbers for name, result in results.items()},
        _sorted_faults(list(results.values())),
        {name: values for result in results.values() for name, values in result.series.items()},
        [remark for result in results.values() for remark in result.remarks],
    )


def _sorted_faults(results: Sequence[CheckResult]) -> list[Fault]:
    """Return the faults in order of time, without those that follow from others.

    These are bends of a limb that flips, and guessed limbs of a person of whom most is guessed.
    """
    faults = [fault for result in results for fault in result.faults]
    limbs = {"knee": ("thigh", "shin"), "elbow": ("upper arm", "forearm")}

    flips: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.check == "flip":
            flips.setdefault(fault.part, []).append(fault)

    def follows_from_flip(fault: Fault) -> bool:
        if fault.check != "bend":
            return False
        side, _, part = fault.part.partition(" ")
        causes = [flip for limb in limbs[part] for flip in flips.get(f"{side} {limb}", [])]
        return any(flip.first - 1 <= fault.last and fault.first <= flip.last + 1 for flip in causes)

    doubts = [fault for fault in faults if fault.check == "doubt"]

    def is_doubted(fault: Fault) -> bool:
        limbs_alone = fault.check in ("guessed", "hidden")
        return limbs_alone and any(doubt.first <= fault.first and fault.last <= doubt.last for doubt in doubts)

    kept = (f for f in faults if not follows_from_flip(f) and not is_doubted(f))
    return sorted(kept, key=lambda f: (f.first, CHECKS.index(f.check), f.part))


CHECKS = (
    *("not seen", "posture", "doubt", "guessed", "hidden", "jump", "swap", "bone", "flip", "bend", "feet", "floor"),
    *("reprojection", "far off", "uncertain"),
)
"""The values of `Fault.check`."""


@dataclass
class Quality:
    """The quality of one person's poses.

    Attributes:
        person: the person's number in the source.
        source: the name of what was lifted.
        times: (F,) seconds.
        seen: (F,) frames in which the person was seen.
        numbers: by section, then by name; JSON's types.
        faults: in order of time.
        series: name to (F,): confidence, bones, turning, reprojection, expected error.
        remarks: for the reader.
    """

    person: int
    source: str
    times: Array
    seen: Mask
    numbers: dict[str, dict[str, Any]]
    faults: list[Fault]
    series: dict[str, Array]
    remarks: list[str]

    def marked(self, chosen: Callable[[Fault], bool] = lambda fault: True) -> Mask:
        """Return (F,) the frames with a chosen fault."""
        mask = np.zeros(len(self.times), bool)
        for fault in self.faults:
            if chosen(fault):
                mask[fault.first : fault.last + 1] = True
        return mask
