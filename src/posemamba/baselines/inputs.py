"""2D joints as the peers embed them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def with_confidence(x_BTJC: Tensor, centred: bool) -> Tensor:
    """(B, T, J, 2 or 3) to (B, T, J, 3): joints without confidence are certain (1).

    Args:
        x_BTJC: x, y and, if there is one, confidence.
        centred: x and y relative to their mean over the clip's frames and joints.
    """
    if centred:
        xy = x_BTJC[..., :2]
        x_BTJC = torch.cat([xy - xy.mean((1, 2), keepdim=True), x_BTJC[..., 2:]], -1)
    return F.pad(x_BTJC, (0, 1), value=1.0) if x_BTJC.shape[-1] == 2 else x_BTJC
