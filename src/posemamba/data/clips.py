"""Training clips, as every data set gives them. Shapes: B clips, T frames of a clip, J = 17 joints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from posemamba.models.inputs import zoom_factor


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
