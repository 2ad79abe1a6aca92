"""Lengths of bones: as seen in the picture, and as training makes them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from posemamba.utils.errors import PoseMambaError
from studies.detector_noise.common import Array

BONES = {  # name: the ends of the left and of the right one, in the order of augment.BONE_GROUPS
    "hips": ((0, 1), (0, 4)),
    "thighs": ((1, 2), (4, 5)),
    "shins": ((2, 3), (5, 6)),
    "trunk": ((0, 7), (7, 8)),  # added up, not averaged
    "neck": ((8, 9),),
    "head": ((9, 10),),
    "shoulders": ((8, 11), (8, 14)),
    "upper_arms": ((11, 12), (14, 15)),
    "forearms": ((12, 13), (15, 16)),
}


def bone_lengths(places: Array) -> dict[str, Array]:
    """Mean length of left and right in each frame, of augment.BONE_GROUPS; places (F, J, 2 or 3). The trunk: a sum."""
    result = {}
    for name, ends in BONES.items():
        lengths = np.stack([np.linalg.norm(places[:, a] - places[:, b], axis=-1) for a, b in ends])
        result[name] = lengths.sum(0) if name == "trunk" else lengths.mean(0)
    return result


@lru_cache(maxsize=1)
def training_bodies(draws: int = 4000) -> dict[str, tuple[float, float, float]] | None:
    """5th, 50th and 95th percentile of bone lengths in training, in units of the trunk; None without motion capture."""
    from posemamba.data.mocap.draw.body import BONE_HIGH, BONE_LOW
    from posemamba.data.mocap.motions import load_motions

    try:
        motions = load_motions(split="train")
    except PoseMambaError:
        return None
    each = []
    for subject in sorted(set(motions.subjects)):
        clips = [i for i, s in enumerate(motions.subjects) if s == subject]
        lengths = bone_lengths(motions.select(clips).positions[::50])
        each.append([float(np.median(lengths[name])) for name in BONES])
    random = np.random.default_rng(0)
    bodies = np.array(each)[random.integers(len(each), size=draws)]
    bodies *= random.uniform(BONE_LOW, BONE_HIGH, bodies.shape)
    bodies /= bodies[:, [list(BONES).index("trunk")]]
    low, middle, high = np.percentile(bodies, [5, 50, 95], axis=0)
    return {name: (float(low[i]), float(middle[i]), float(high[i])) for i, name in enumerate(BONES)}


def seen_proportions(xy: Array) -> dict[str, float]:
    """Lengths in units of the trunk as seen: breadths in the fifth of the frames in which the shoulders are broadest,
    bones at their 90th percentile, since turned away they look shorter. Rough: perspective is not taken out."""
    lengths = bone_lengths(xy)
    trunk = np.nanpercentile(lengths["trunk"], 90)
    frontal = lengths["shoulders"] >= np.nanpercentile(lengths["shoulders"], 80)
    return {
        name: float(
            np.nanmedian(one[frontal] / lengths["trunk"][frontal])
            if name in ("hips", "shoulders")
            else np.nanpercentile(one, 90) / trunk
        )
        for name, one in lengths.items()
    }
