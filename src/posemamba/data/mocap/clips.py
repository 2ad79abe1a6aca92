"""Motion capture seen by virtual cameras: as many training clips as wanted, made on a device.

A training batch is a pure function of (seed, step, rank): what is drawn for a clip (motion, camera, body, the
detector's habits) comes from NumPy's Philox generator keyed with them, and the noise of every frame from
PyTorch's generator on the device, seeded with them. So a run that is resumed goes on with the same stream.

Shapes: B clips, T frames of a clip, J = 17 joints, N frames of all motions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from posemamba.data import augment
from posemamba.data.augment import DetectorErrors
from posemamba.data.cameras import Cameras, see
from posemamba.data.clips import ClipBatch
from posemamba.data.mocap import recombine
from posemamba.data.mocap.draw import FIELDS, ClipDrawer
from posemamba.data.mocap.motions import Motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.models.inputs import mirror


class MocapSource:
    """Training clips made on a device out of motion capture.

    Args:
        motions: what to draw from.
        options: what to vary.
        seed: with the step and the rank, all that a batch depends on.
        device: where the motions are kept and the batches are made.
    """

    def __init__(
        self, motions: Motions, options: MocapOptions, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.motions, self.options, self.seed = motions, options, seed
        self.device = torch.device(device)
        self.positions = torch.from_numpy(motions.positions).to(self.device)
        self._drawer = ClipDrawer(motions, options)
        self._generator = torch.Generator(self.device)

    def batch(self, step: int, size: int, *, rank: int = 0, frames: int | None = None) -> ClipBatch:
        """The clips of one training step; the same for the same seed, step, rank, size and device type.

        Args:
            step: number of the step.
            size: clips of 243 frames; of shorter clips there are more, up to three times as many.
            rank: number of the process that asks, where several train together.
            frames: length of the clips; None draws it from the options.
        """
        random = np.random.Generator(np.random.Philox(key=[self.seed, (step << 16) + rank]))
        if frames is None:
            frames = self._drawer.frames(random)
            size = min(size * self._drawer.longest // frames, 3 * size)
        drawn = self._drawer.draw(random, size, frames)
        table = np.concatenate([drawn[name].reshape(size, width) for name, width in FIELDS.items()], 1)
        # float32 holds frame numbers below 2**24, 93 hours of motion
        on_host = torch.from_numpy(table.astype(np.float32))
        if self.device.type == "cuda":
            on_host = on_host.pin_memory()  # from pageable memory the copy would wait for the device
        on_device = on_host.to(self.device, non_blocking=True)
        fields = dict(zip(FIELDS, on_device.split(list(FIELDS.values()), 1), strict=True))
        self._generator.manual_seed((self.seed * 1_000_003 + step) * 4099 + rank)
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            return self._make(fields, frames)

    def _make(self, fields: dict[str, Tensor], frames: int) -> ClipBatch:
        one = {name: value[:, 0] for name, value in fields.items() if FIELDS[name] == 1}
        frame = torch.arange(frames, device=self.device)
        frame = torch.where(one["backwards"][:, None] > 0, frame.flip(0), frame)

        def motion(of: str) -> Tensor:
            begin, step = one[of + "begin"], one[of + "step"].double()
            time = (begin.double() + one[of + "first"].double())[:, None] + step[:, None] * frame
            return sample_motion(self.positions, time, begin.long(), one[of + "end"].long())

        bodies = motion("")
        if self.options.grafted:
            bodies = recombine.graft(bodies, motion("graft_"), one["graft"])
        if self.options.turned:
            steady, swing = (fields[name].view(-1, len(recombine.TURNED), 3) for name in ("steady", "swing"))
            bodies = recombine.turn(bodies, recombine.Turns(steady, swing, fields["tempo"], fields["phase"]))
        if self.options.tumbled:
            steady, swing = (fields[name][:, None] for name in ("over_steady", "over_swing"))
            over = recombine.Turns(steady, swing, fields["over_tempo"], fields["over_phase"])
            bodies = recombine.tumble(bodies, over)
        flipped = mirror(bodies)
        bodies = torch.where(one["flip"][:, None, None, None] > 0, flipped, bodies)
        bodies = augment.move_nose(augment.vary_bones(bodies, fields["bones"]), one["nose"])
        view = see(
            bodies,
            Cameras(
                offset=fields["offset"],
                **{
                    name: one[name]
                    for name in (
                        "azimuth",
                        "pitch",
                        "roll",
                        "focal",
                        "aspect",
                        "distance",
                        "follow",
                        "overflow",
                    )
                },
            ),
        )
        errors = DetectorErrors(
            jitter=one["jitter"],
            bias=one["bias"],
            spikes=one["spikes"],
            spike_size=one["spike_size"],
            lost_start=fields["lost_start"],
            lost_length=fields["lost_length"],
            lost_set=fields["lost_set"].long(),
            swap_start=fields["swap_start"],
            swap_length=fields["swap_length"],
            swap_what=fields["swap_what"],
            edge=fields["edge"],
            tempi=fields["tempi"],
            harder=fields["harder"].long(),
            by=fields["by"],
            **{
                name: one[name] for name in ("derived", "dropped", "sure", "doubt", "mood", "temper", "blind", "misled")
            },
        )
        noisy, confidence = augment.detect_badly(view.xy, errors, self._generator)
        return ClipBatch(noisy, view.target, view.mm_per_unit, view.xy, confidence)


def sample_motion(positions: Tensor, time: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Motion at times between frames (Catmull and Rom 1974: cubics through the frames, smooth in speed).

    Args:
        positions: (N, J, 3) motions one after another.
        time: (B, T) frame numbers in `positions`, with fractions.
        begin: (B,) first frame of each motion.
        end: (B,) last frame of each motion; nothing is read outside of it.

    Returns:
        (B, T, J, 3).
    """
    whole = time.floor()
    t = (time - whole).to(positions.dtype)[..., None, None]
    around = whole.long()[..., None] + torch.arange(-1, 3, device=positions.device)
    around = torch.minimum(torch.maximum(around, begin[:, None, None]), end[:, None, None])
    p0, p1, p2, p3 = positions[around].unbind(2)
    a = 2 * p1
    b = p2 - p0
    c = 2 * p0 - 5 * p1 + 4 * p2 - p3
    d = 3 * (p1 - p2) + p3 - p0
    return 0.5 * (a + t * (b + t * (c + t * d)))
