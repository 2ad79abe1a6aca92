"""Conversion of 2D joints from one skeleton to another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses.keypoints import Feet2D, Keypoints2D
from posemamba.poses.skeletons import FEET, H36M17, MPI3DHP17, SKELETONS, Skeleton, _both
from posemamba.utils.errors import PoseMambaError

# Heights of joints that detectors do not give, as multiples of the vector from the middle of the hips to the
# middle of the shoulders (its length is the trunk, about 0.5 m): medians over 71 minutes of the training data's
# motion capture. The ears' height (0.36 above the shoulders) is that of BlazePose on a person seen upright.
SPINE = 0.515
THORAX = 1.07
_NOSE = 1.31
_EARS = 1.36
_HEAD_TOP = 1.52
# The same heights as shares of the way from the thorax to the middle of the ears, so that they follow the head.
_NOSE_ON_NECK = (_NOSE - THORAX) / (_EARS - THORAX)
_HEAD_TOP_BEYOND_EARS = (_HEAD_TOP - _EARS) / (_EARS - THORAX)
# Up in the head's own frame is the vector from the tip of the nose to the eyes, less its backward part (0.3 of
# the vector from the eyes to the ears). It is about 0.09 trunks long.
_EYES_BACKWARDS = 0.3
_HEAD_TOP_PER_FACE = (_HEAD_TOP - _EARS) / 0.09
_LIMBS = _both("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_TOES = {"toe": "big_toe", "big_toe": "toe"}
"""Two names of the foot's tip, of which a skeleton has one."""


def to_h36m17(keypoints: Keypoints2D) -> Keypoints2D:
    """Convert to Human3.6M's 17 joints: (F, J, 2) pixels to (F, 17, 2) pixels, in the same image and at the same times.

    Hips, knees, ankles, shoulders, elbows and wrists are the same joints in all skeletons and are copied. The others
    are sums of vectors between detected joints, valid in any view if perspective within one body is neglected:

    - pelvis: the middle of the hips;
    - spine and thorax: on the line from the pelvis to the middle of the shoulders, at 0.515 and 1.07 of it;
    - nose (in Human3.6M a point between neck and face): on the line from the thorax to the middle of the ears;
    - head top: copied from Halpe-26 where it was found. Else it is extrapolated from the middle of the ears, half along
      the line from the thorax and half along the head's own up direction. Eyes, nose and ears show that direction even
      if the person looks down or sideways; it is weighted by the face's confidence, so from behind the first half is
      used alone. Expect errors of a few centimetres.

    If a hip or a shoulder is missing, the pelvis or neck of Halpe-26 and BODY_25 is used as the middle, where it is
    trained to lie. MPI-INF-3DHP's 17 joints correspond to Human3.6M's one by one.

    A derived joint's confidence is the least of its sources'. The two ears (and the eyes) count as one source with
    their mean; one of them is hidden in every side view, and the other is then used for both. A joint with a missing
    source is NaN with confidence 0. Heels and foot tips become `Keypoints2D.feet` (`find_feet`).

    Raises:
        PoseMambaError: the skeleton has no known conversion.
    """
    skeleton = keypoints.skeleton
    if skeleton == H36M17:
        return keypoints
    if skeleton == MPI3DHP17:
        theirs = {"thorax": "neck", "nose": "head"}
        order = [skeleton.joints.index(theirs.get(name, name)) for name in H36M17.joints]
        return replace(keypoints, xy=keypoints.xy[:, order], confidence=keypoints.confidence[:, order], skeleton=H36M17)
    needed = {"nose", *_both("eye", "ear"), *_LIMBS}
    if missing := sorted(needed - set(skeleton.joints)):
        raise PoseMambaError(
            f"skeleton '{skeleton.name}' cannot be converted to Human3.6M's joints: "
            f"it lacks {', '.join(missing)}; known: {', '.join(SKELETONS)}"
        )
    found = keypoints.found
    xy = np.where(found[..., None], keypoints.xy, np.nan).astype(np.float64)
    confidence = np.where(found, keypoints.confidence, 0).astype(np.float64)

    def joint(name: str) -> _Point:
        index = skeleton.joints.index(name)
        return _Point(xy[:, index], confidence[:, index])

    hips, shoulders = (_middle(joint(f"left_{n}"), joint(f"right_{n}")) for n in ("hip", "shoulder"))
    if "pelvis" in skeleton.joints:
        hips = _first_found(hips, joint("pelvis"))
    if "neck" in skeleton.joints:
        shoulders = _first_found(shoulders, joint("neck"))
    ears, eyes = (_middle_of_found(joint(f"left_{n}"), joint(f"right_{n}")) for n in ("ear", "eye"))
    face = joint("nose")

    trunk = shoulders.xy - hips.xy
    trusted = np.minimum(hips.confidence, shoulders.confidence)
    thorax = hips.xy + THORAX * trunk
    neck = ears.xy - thorax
    along_neck = _HEAD_TOP_BEYOND_EARS * neck
    along_face = _HEAD_TOP_PER_FACE * ((eyes.xy - face.xy) - _EYES_BACKWARDS * (ears.xy - eyes.xy))
    face_weight = 0.5 * np.minimum(eyes.confidence, face.confidence)[:, None]
    up = np.where(face_weight > 0, (1 - face_weight) * along_neck + face_weight * along_face, along_neck)

    derived = {
        "pelvis": hips,
        "spine": _Point(hips.xy + SPINE * trunk, trusted),
        "thorax": _Point(thorax, trusted),
        "nose": _Point(thorax + _NOSE_ON_NECK * neck, np.minimum(trusted, ears.confidence)),
        "head_top": _Point(ears.xy + up, np.minimum(trusted, ears.confidence)),
    }
    if "head_top" in skeleton.joints:
        derived["head_top"] = _first_found(joint("head_top"), derived["head_top"])
    points = [derived[name] if name in derived else joint(name) for name in H36M17.joints]
    new_xy = np.stack([p.xy for p in points], axis=1)
    new_confidence = np.stack([p.confidence for p in points], axis=1)
    new_confidence[~np.isfinite(new_xy).all(-1)] = 0
    return replace(
        keypoints,
        xy=new_xy.astype(np.float32),
        confidence=new_confidence.astype(np.float32),
        skeleton=H36M17,
        feet=find_feet(keypoints),
    )


def find_feet(keypoints: Keypoints2D) -> Feet2D | None:
    """Return the heels and foot tips among the joints, or those beside them (`Keypoints2D.feet`).

    The foot's tip is BlazePose's toe, and the big toe of Halpe-26 and BODY_25: detectors find it more surely than the
    small toe, and it is one point of the foot, where a middle of both would need two.

    Returns:
        (F, 4, 2) pixels with confidence; NaN with confidence 0 where a point was not found. None: the skeleton has no
        feet, and there are none beside it.
    """
    names = keypoints.skeleton.joints
    places = [_foot_joint(name, names) for name in FEET]
    if None in places:
        return keypoints.feet
    index = np.array(places)
    found = keypoints.found[:, index]
    return Feet2D(
        np.where(found[..., None], keypoints.xy[:, index], np.nan), np.where(found, keypoints.confidence[:, index], 0)
    )


def _foot_joint(name: str, joints: tuple[str, ...]) -> int | None:
    """Return the index of a joint under this name, or under the other name of a toe; None: it is not there."""
    side, _, part = name.partition("_")
    known = (name, f"{side}_{_TOES.get(part, part)}")
    return next((joints.index(one) for one in known if one in joints), None)


def to_skeleton(keypoints: Keypoints2D, target: Skeleton) -> Keypoints2D:
    """Convert to another skeleton: (F, J, 2) pixels to (F, J', 2) pixels, in the same image and at the same times.

    For Human3.6M's skeleton see `to_h36m17`. For others, joints of the same name are copied, neck and pelvis are the
    middles of shoulders and hips, and joints that the source lacks are NaN with confidence 0. Human3.6M's nose, a point
    within the head, is not used as the tip of the nose. BlazePose's toe and the big toe of others are one joint, and
    heels and foot tips beside Human3.6M's joints (`Keypoints2D.feet`) become joints again.

    Raises:
        PoseMambaError: the skeletons have no joint in common, or there is no conversion to Human3.6M's joints.
    """
    source = keypoints.skeleton
    if source == target:
        return keypoints
    if target == H36M17:
        return to_h36m17(keypoints)
    names = {name: i for i, name in enumerate(source.joints)}
    if source == H36M17:
        del names["nose"]
    feet = find_feet(keypoints)
    frames = len(keypoints)
    xy = np.full((frames, len(target), 2), np.nan, np.float32)
    confidence = np.zeros((frames, len(target)), np.float32)
    found = keypoints.found
    clean = _Points(np.where(found[..., None], keypoints.xy, np.nan), np.where(found, keypoints.confidence, 0))
    for j, name in enumerate(target.joints):
        middle = {"neck": "shoulder", "pelvis": "hip"}.get(name)
        if name in names:
            xy[:, j], confidence[:, j] = clean.xy[:, names[name]], clean.confidence[:, names[name]]
        elif middle is not None and f"left_{middle}" in names:
            left, right = names[f"left_{middle}"], names[f"right_{middle}"]
            point = _middle(
                _Point(clean.xy[:, left], clean.confidence[:, left]),
                _Point(clean.xy[:, right], clean.confidence[:, right]),
            )
            xy[:, j], confidence[:, j] = point.xy, point.confidence
        elif feet is not None and (foot := _foot_joint(name, FEET)) is not None:
            xy[:, j], confidence[:, j] = feet.xy[:, foot], feet.confidence[:, foot]
    if not np.isfinite(xy).any() and found.any():
        raise PoseMambaError(f"skeleton '{source.name}' has no joint of '{target.name}' that was found: choose another")
    own = all(_foot_joint(name, target.joints) is not None for name in FEET)
    return replace(keypoints, xy=xy, confidence=confidence, skeleton=target, feet=None if own else feet)


@dataclass(frozen=True)
class _Points:
    """The joints over time: xy (F, J, 2), NaN where missing, and confidence (F, J)."""

    xy: NDArray[np.floating]
    confidence: NDArray[np.floating]


@dataclass(frozen=True)
class _Point:
    """One joint over time: xy (F, 2), NaN where missing, and confidence (F,)."""

    xy: NDArray[np.floating]
    confidence: NDArray[np.floating]


def _first_found(a: _Point, b: _Point) -> _Point:
    """Return the first point, or the second in frames where the first was not found."""
    missing = ~np.isfinite(a.xy).all(-1)
    return _Point(np.where(missing[:, None], b.xy, a.xy), np.where(missing, b.confidence, a.confidence))


def _middle(a: _Point, b: _Point) -> _Point:
    """Return the point half-way; missing where either is missing."""
    return _Point((a.xy + b.xy) / 2, np.minimum(a.confidence, b.confidence))


def _middle_of_found(a: _Point, b: _Point) -> _Point:
    """Return the point half-way, or the one that was found where the other was not."""
    xy = np.where(np.isnan(a.xy), b.xy, np.where(np.isnan(b.xy), a.xy, (a.xy + b.xy) / 2))
    only_one = np.isnan(a.xy).any(-1) | np.isnan(b.xy).any(-1)
    mean = (a.confidence + b.confidence) / np.where(only_one, 1, 2)  # a missing one has confidence 0
    return _Point(xy, mean)
