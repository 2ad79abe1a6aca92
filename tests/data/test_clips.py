import torch

from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.options import MocapOptions
from posemamba.models.inputs import person_size


def test_all_people_at_one_size(motions):
    batch = MocapSource(motions, MocapOptions(lengths={27: 1.0}), seed=1).batch(0, 8, frames=27)
    zoomed = batch.zoomed(0.25)
    assert torch.allclose(person_size(zoomed.input), torch.full((8,), 0.25))
    millimetres = [(b.target * b.mm_per_unit[..., None, None]) for b in (batch, zoomed)]
    assert torch.allclose(*millimetres, rtol=1e-4, atol=0.01)
    assert batch.zoomed(None) is batch
