"""Teach a finished model how far off its joints are: its `ErrorHead`, fitted to training clips while all else stays.

The head reads what the last layer knows of a joint and gives s, the mean of an exponential distribution of the
distance e by which the joint is off, relative to the pelvis; the loss is its negative log-likelihood, e / s + log s,
least where s is the mean error of all joints that look alike to the model. Nix and Weigend, "Estimating the mean and
variance of the target probability distribution" (ICNN 1994), with the model's errors as they are in place of normal
ones. How well that carries over to people whom neither has seen: `posemamba.evaluate.expected_error`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posemamba.data.mocap.clips import MocapSource
from posemamba.models.inputs import prepare_input
from posemamba.models.posemamba import ErrorHead, PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.utils.progress import Progress


@dataclass(frozen=True)
class ErrorFit:
    """Settings for fitting an error head.

    Attributes:
        width: of its hidden layers.
        batches, clips: of training clips, and clips of 243 frames in each; of shorter ones there are more.
        frames: taken of each clip of 243, by chance; neighbours are too alike to take all.
        steps, rows, lr: of AdamW, and frames in a step.
        seed: of all of it; another than that of training, so that clips are new.
    """

    width: int = 128
    batches: int = 400
    clips: int = 8
    frames: int = 12
    steps: int = 3000
    rows: int = 512
    lr: float = 2e-3
    seed: int = 20261123


def fit_errors(
    model: PoseMamba,
    source: MocapSource,
    *,
    person_size: float | None,
    fit: ErrorFit | None = None,
    progress: Progress | None = None,
) -> PoseMamba:
    """The model with an `ErrorHead` that knows it; what it lifts stays the same.

    Args:
        model: trained; with a head already it gets a new one.
        source: training clips, on the model's device.
        person_size: as the model was trained (`models.inputs.zoom_factor`).
        fit: how.
        progress: called with batches done and in all.
    """
    fit = fit or ErrorFit()
    known, off = _collect(model.eval(), source, person_size, fit, progress)
    config = PoseMambaConfig.model_validate({**model.config.model_dump(), "error_width": fit.width})
    told = PoseMamba(config)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("error_head.")}
    told.load_state_dict(weights, strict=False)
    assert told.error_head is not None
    _train(told.error_head.to(known.device), known, off, fit)
    return told.to(known.device).eval()


@torch.no_grad()
def _collect(
    model: PoseMamba, source: MocapSource, person_size: float | None, fit: ErrorFit, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """(rows, J - 1, E) what the model knows of joints, and (rows, J - 1) how far it is off; without the pelvis."""
    generator = torch.Generator().manual_seed(fit.seed)
    known, off = [], []
    for number in range(fit.batches):
        batch = source.batch(number, fit.clips).zoomed(person_size)
        features = model.features(prepare_input(model, batch.joints))
        y = model.head(features)
        errors = (y - y[:, :, :1] - batch.target).norm(dim=-1)
        clips, frames = errors.shape[:2]
        most = max(1, fit.frames * fit.clips // clips)  # as many of every batch, also where it has more, shorter clips
        chosen = torch.rand(clips, frames, generator=generator).argsort(1)[:, :most].to(errors.device)
        rows = torch.arange(clips, device=errors.device)[:, None]
        known.append(features[rows, chosen].flatten(0, 1)[:, 1:].float())
        off.append(errors[rows, chosen].flatten(0, 1)[:, 1:].float())
        if progress is not None:
            progress(number + 1, fit.batches)
    return torch.cat(known), torch.cat(off)


def _train(head: ErrorHead, known: Tensor, off: Tensor, fit: ErrorFit) -> None:
    generator = torch.Generator().manual_seed(fit.seed)
    for parameter in head.parameters():
        fresh = torch.zeros(parameter.shape)
        if parameter.ndim == 2:
            torch.nn.init.xavier_uniform_(fresh, generator=generator)
        parameter.data.copy_(fresh)
    torch.nn.init.zeros_(head.fc3.weight)
    torch.nn.init.constant_(head.fc3.bias, float(off.mean().log()))
    # what differs between joints is much larger than what differs within one: learn on numbers of one size
    mean, spread = known.mean((0, 1)), known.std((0, 1)).clamp_min(1e-6)
    optimizer = torch.optim.AdamW(head.parameters(), lr=fit.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, fit.lr, fit.steps)
    for _ in range(fit.steps):
        rows = torch.randint(len(known), (fit.rows,), generator=generator).to(known.device)
        expected = head((known[rows] - mean) / spread)
        loss = (expected.log() + off[rows] / expected).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():  # into the first layer
        head.fc1.weight.div_(spread)
        head.fc1.bias.sub_(head.fc1.weight @ mean)
