"""Can the 3D joints of a video be trusted, where there is no truth? What must not happen is looked for and marked.

docs/quality.md says what each check does, where its limits come from, and which of them mean something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from posemamba.poses import Motion3D, Poses3D
from posemamba.quality.body import check_bends, check_bones, check_flips
from posemamba.quality.common import Array, Clip, Fault, Found, Mask, prepare
from posemamba.quality.detection import check_detection
from posemamba.quality.expected import check_expected
from posemamba.quality.place import check_feet, check_reprojection, check_smoothness

__all__ = ["CHECKS", "Fault", "Quality", "measure_quality"]

CHECKS = ("not seen", "doubt", "jump", "swap", "bone", "flip", "bend", "feet", "floor", "reprojection", "uncertain")
"""What a fault can be of."""
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


@dataclass
class Quality:
    """What was found of one person.

    Attributes:
        person: the number in the source.
        source: what was lifted.
        times: (F,) seconds.
        seen: (F,).
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
        """(F,) frames with a fault that is chosen."""
        mask = np.zeros(len(self.times), bool)
        for fault in self.faults:
            if chosen(fault):
                mask[fault.first : fault.last + 1] = True
        return mask

    def to_json(self) -> dict[str, Any]:
        """Everything but the series, in JSON's types."""
        from posemamba.quality.verdict import verdict

        judged = verdict(self)
        return {
            "person": self.person,
            "source": self.source,
            "frames": len(self.times),
            "verdict": asdict(judged),
            **self.numbers,
            "faults": [asdict(fault) for fault in self.faults],
            "remarks": self.remarks,
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
