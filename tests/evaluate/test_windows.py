from types import SimpleNamespace

import pytest
import torch
from torch import nn

from posemamba.evaluate.mocap.benchmark import model_predictor
from posemamba.evaluate.windows import lift_windows
from posemamba.lifting.lifter import Lifter
from posemamba.models.inputs import mirror
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17


class Copies(nn.Module):
    """Gives the picture back as x and y, and the mean of x over the window as depth."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.cat([x, x[..., :1].mean(1, keepdim=True).expand_as(x[..., :1])], -1) + self.p


@pytest.mark.parametrize("frames", [1, 20, 27, 28, 54, 61])
def test_windows_cover_every_frame_once(frames):
    xy = torch.randn(2, frames, 17, 2)
    lifted = lift_windows(Copies(), xy, window=27, flip=False)
    assert torch.allclose(lifted[..., :2], xy - xy[:, :, :1])
    first = xy[:, :27, :, 0].mean(1, keepdim=True).expand(-1, min(27, frames), -1)
    assert torch.allclose(lifted[:, :27, :, 2], first - first[..., :1], atol=1e-6)
    zoomed = lift_windows(Copies(), xy, window=27, flip=False, person_size=0.3)
    assert torch.allclose(zoomed, lifted, atol=1e-5)  # this model is linear, so the zoom cancels


def test_test_time_flip_makes_the_lifting_symmetric():
    xy = torch.randn(1, 9, 17, 2)
    mirrored = mirror(lift_windows(Copies(), mirror(xy)))
    assert torch.allclose(lift_windows(Copies(), xy), mirrored, atol=1e-6)
    predict = model_predictor(Copies(), window=5)
    assert predict(xy.numpy()).shape == (1, 9, 17, 3)


def test_windows_are_as_long_as_the_model_was_made_for():
    made = Copies()
    made.config = SimpleNamespace(frames=5)
    xy = torch.randn(1, 12, 17, 2)
    assert torch.equal(lift_windows(made, xy), lift_windows(Copies(), xy, window=5))
    assert not torch.equal(lift_windows(made, xy), lift_windows(Copies(), xy))


class Sure(Copies):
    """Takes confidence, and gives it back as depth."""

    config = SimpleNamespace(confidence=True)

    def forward(self, x):
        assert x.shape[-1] == 3
        return torch.cat([x[..., :2], x[..., 2:] - x[..., :1, 2:]], -1) + self.p


def test_models_get_the_confidence_that_they_take():
    joints = torch.rand(2, 40, 17, 3)
    for size in (None, 0.3):
        lifted = lift_windows(Sure(), joints, window=27, flip=False, person_size=size)
        if size is None:
            assert torch.allclose(lifted[..., 2], joints[..., 2] - joints[..., :1, 2], atol=1e-6)
        without = lift_windows(Copies(), joints, window=27, flip=False, person_size=size)
        assert torch.equal(without, lift_windows(Copies(), joints[..., :2], window=27, flip=False, person_size=size))


@pytest.mark.parametrize("frames", [20, 28, 61, 100])
def test_overlapping_windows_are_those_of_lifting(frames):
    torch.manual_seed(0)
    xy = torch.rand(2, 1, 17, 2) * 50 + torch.randn(2, frames, 17, 2).cumsum(1) + 50
    confidence = torch.ones(frames, 17).numpy()
    lifter = Lifter(Copies(), window=27, overlap=9, flip=False, person_size=0.3, device="cpu", virtual_camera=False)
    people = [Keypoints2D(one.numpy(), confidence, H36M17, (200, 100), 50.0) for one in xy]
    lifted = torch.stack([torch.from_numpy(lifter(one).xyz) for one in people])
    normalised = xy / 100 - torch.tensor([1, 0.5])
    ours = lift_windows(Copies(), normalised, window=27, overlap=9, flip=False, person_size=0.3)
    torch.testing.assert_close(ours * 100, lifted, rtol=1e-4, atol=1e-3)
    end_to_end = lift_windows(Copies(), normalised, window=27, flip=False, person_size=0.3)
    assert torch.allclose(end_to_end, ours, atol=1e-5) == (frames <= 27)
