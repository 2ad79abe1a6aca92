"""Training clips, as every data set gives them. Shapes: B clips, T frames of a clip, J = 17 joints."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from posemamba.models.inputs import zoom_factor
from posemamba.utils.errors import PoseMambaError


@dataclass
class ClipBatch:
    """Clips on the device, ready to train on.

    Attributes:
        input: (B, T, J, 2) normalised 2D joints with the detector's errors.
        target: (B, T, J, 3) normalised, relative to joint 0 (`posemamba.data.cameras`).
        mm_per_unit: (B, T).
        exact: (B, T, J, 2) the input without errors.
        confidence: (B, T, J) in [0, 1].
    """

    input: Tensor
    target: Tensor
    mm_per_unit: Tensor
    exact: Tensor
    confidence: Tensor

    @property
    def joints(self) -> Tensor:
        """(B, T, J, 3): input and confidence, from which a model is given what it takes."""
        return torch.cat([self.input, self.confidence[..., None]], -1)

    def to(self, device: torch.device) -> ClipBatch:
        """Return the clips on a device."""
        return ClipBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def select(self, chosen: Tensor) -> ClipBatch:
        """Return the clips of these numbers, (N,)."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ClipBatch(**{name: value[chosen.to(value.device)] for name, value in values.items()})

    def zoomed(self, size: float | None) -> ClipBatch:
        """All people seen at one size (`models.inputs.zoom_factor`, measured on the input); None: as they are."""
        if size is None:
            return self
        k = zoom_factor(self.input, size)
        k4 = k[:, None, None, None]
        return replace(
            self,
            input=self.input * k4,
            target=self.target * k4,
            mm_per_unit=self.mm_per_unit / k[:, None],
            exact=self.exact * k4,
        )


def clip_batch(
    joints: Tensor, target: Tensor, mm_per_unit: float | Tensor, confidence: Tensor | None = None
) -> ClipBatch:
    """Make clips of tensors.

    Args:
        joints: (B, T, J, 2) normalised: x / W * 2 - 1, y / W * 2 - H / W.
        target: (B, T, J, 3) in the same unit, depth / W * 2; made relative to joint 0.
        mm_per_unit: one number, or (B, T).
        confidence: (B, T, J) in [0, 1]; None: 1.

    Raises:
        PoseMambaError: shapes that do not fit, or values that are not finite.
    """
    shape = joints.shape[:3]
    if joints.ndim != 4 or joints.shape[-1] != 2 or target.shape != (*shape, 3):
        raise PoseMambaError(
            f"clips: joints are {tuple(joints.shape)} and targets {tuple(target.shape)}, expected (clips, frames, "
            "joints, 2) and (clips, frames, joints, 3)"
        )
    if not (torch.isfinite(joints).all() and torch.isfinite(target).all()):
        raise PoseMambaError("clips: joints or targets with NaN or infinity: leave such clips out")
    joints, target = joints.float(), (target - target[:, :, :1]).float()
    scale = torch.as_tensor(mm_per_unit, dtype=torch.float32).expand(shape[:2]).contiguous()
    seen = torch.ones(shape) if confidence is None else confidence.float().expand(shape).contiguous()
    return ClipBatch(joints, target, scale, joints, seen)
