"""Drawn bodies of training clips: the lengths of their bones, by factors of the motions' own.

Factors are of `augment.BONE_GROUPS`. Shapes: B clips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posemamba.data import augment
from posemamba.data.mocap.draw.sampler import Array, Sampler, tensor
from posemamba.data.mocap.options import BodyOptions

_GROUPS = len(augment.BONE_GROUPS)
# From MediaPipe's short hips and legs to Human3.6M's long ones (studies/detector_noise); in the order of BONE_GROUPS.
BONE_LOW = np.array([1.0, 0.84, 0.82, 0.9, 0.8, 0.7, 0.8, 0.82, 0.78])
BONE_HIGH = np.array([1.65, 1.26, 1.26, 1.16, 1.3, 1.3, 1.25, 1.22, 1.18])
# The motions' bones, Human3.6M's and MediaPipe's over the motions' (studies/detector_noise): definitions of joints
# differ more than people do, but all bones go together.
CONVENTIONS = np.log(
    [
        [1.0] * _GROUPS,
        [1.62, 1.20, 1.17, 1.0, 1.09, 1.09, 0.90, 1.06, 1.01],
        [1.02, 0.92, 0.84, 1.0, 1.00, 0.88, 0.93, 0.90, 0.85],
    ]
)
_ANATOMICAL = 0.04  # standard deviation, of a factor, of one person's bones from another's


def draw_bodies(s: Sampler, o: BodyOptions) -> augment.Body:
    """Draw factors of the bones' lengths, each by itself, and how far forward the nose is."""
    scaled = o.bone_scale
    scale = BONE_LOW + (BONE_HIGH - BONE_LOW) * s.uniform(0, 1, _GROUPS) if scaled else np.ones((s.size, _GROUPS))
    nose = s.uniform(0, 0.06) * s.chance(0.5 if scaled else 0)
    return augment.Body(tensor(scale), tensor(nose))


def draw_people(s: Sampler, o: BodyOptions) -> tuple[NDArray[np.bool_], Array]:
    """Draw which bodies are anatomical, (B,), and by what factor each person's bones differ from another's."""
    return s.chance(o.anatomical_share), np.exp(s.normal(0, _ANATOMICAL, _GROUPS))


def mix_conventions(s: Sampler, o: BodyOptions, body: augment.Body, anatomical: Array, alike: Array) -> None:
    """Give bodies bones as people's, or between conventions: what each bone has by itself hides its direction."""
    scaled = o.bone_scale
    between = s.random.dirichlet([0.5, 0.5, 0.5], s.size) @ CONVENTIONS  # mostly near to one of them
    mixed = s.chance(o.convention_mix)[:, None] & scaled
    scale = np.where(mixed, alike * np.exp(between), body.bone_scale.numpy())
    body.bone_scale = tensor(np.where(anatomical[:, None] & scaled, alike, scale))


def take_detectors_bones(s: Sampler, o: BodyOptions, body: augment.Body, anatomical: Array, alike: Array) -> None:
    """Give bodies, but for anatomical ones, the bones of the detector's joints."""
    taken = s.chance(o.detector_share)[:, None] & o.bone_scale
    scale = alike * np.exp(CONVENTIONS[2])
    body.bone_scale = tensor(np.where(taken & ~anatomical[:, None], scale, body.bone_scale.numpy()))
