"""Lifting of skeletons other than Human3.6M's: 2D joints to 3D in the same joints, without what is known of bodies.

The `Lifter` converts joints, follows the person with a virtual camera, and knows pelvis, feet and angles. This does
none of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from posemamba.lifting.windows import lift_batch, windows
from posemamba.models.inputs import fill_missing, input_format
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError


@torch.inference_mode()
def lift_joints(
    model: nn.Module,
    keypoints: Keypoints2D,
    *,
    flip: bool = True,
    person_size: float | None = None,
    window: int | None = None,
) -> NDArray[np.float32]:
    """Lift a clip by a model of the same joints.

    Args:
        model: on any device; put into evaluation mode.
        keypoints: F frames of the model's skeleton; NaN where a joint was not found.
        flip: test-time flip: average with the mirrored lifting of the mirrored joints; of a skeleton without sides the
            mirrored body is another one, as a left hand is no right one: switch it off unless training mirrored, too.
        person_size: as in training (`models.inputs.zoom_factor`); None: as seen.
        window: the most frames at once; None: as many as the model was made for.

    Returns:
        (F, J, 3) pixels at the depth of joint 0, relative to it: x right, y down, z away. NaN in frames in which no
        joint was found. Windows overlap by a third and are cross-faded.

    Raises:
        PoseMambaError: joints of another skeleton, or none in any frame.
    """
    form = input_format(model)
    if keypoints.skeleton.name != form.skeleton.name:
        raise PoseMambaError(
            f"{keypoints.source or 'the keypoints'}: joints of {keypoints.skeleton.name}, expected those of the model, "
            f"{form.skeleton.name}"
        )
    found: NDArray[np.bool_] = np.asarray(np.isfinite(keypoints.xy).all(-1))
    seen: NDArray[np.bool_] = np.asarray(found.any(1))
    if not seen.any():
        raise PoseMambaError(f"{keypoints.source or 'the keypoints'}: no joint was found in any frame")
    width, height = keypoints.image_size
    xy = fill_missing(np.where(found[..., None], keypoints.xy, np.nan), form.skeleton)
    normalised = (xy * 2 - [width, height]) / width
    confidence = np.where(found, keypoints.confidence, 0)[..., None]
    device = next(model.parameters()).device
    given = torch.from_numpy(np.concatenate([normalised, confidence], -1).astype(np.float32))[None].to(device)
    most = window or form.frames or 243
    lifted = np.zeros((len(xy), len(form.skeleton), 3), np.float32)
    done = 0
    model.eval()
    for place in windows(len(xy), most, most // 3):
        piece = (
            lift_batch(model, given[:, place.start : place.end], flip=flip, person_size=person_size)[0].cpu().numpy()
        )
        shared = max(0, done - place.start)
        if shared:
            new = place.weights(shared)[:, None, None]
            piece[:shared] = (1 - new) * lifted[place.start : done] + new * piece[:shared]
        lifted[place.start : place.end] = piece
        done = place.end
    lifted *= width / 2
    lifted[~seen] = np.nan
    return lifted
