"""The tree of drawn numbers, and its copy to a device."""

import numpy as np
import torch

from posemamba.data.mocap.draw import ClipDrawer
from posemamba.data.mocap.draw.numbers import leaves, to_device
from posemamba.data.mocap.options import MocapOptions


def test_a_tree_of_numbers_travels_in_float32_and_keeps_shapes_and_kinds(motions):
    numbers = ClipDrawer(motions, MocapOptions()).draw(np.random.default_rng(5), 6, 27)
    moved = dict(leaves(to_device(numbers, torch.device("cpu"))))
    kinds = set()
    for name, tensor in leaves(numbers):
        kinds.add(tensor.dtype)
        assert moved[name].shape == tensor.shape, name
        assert moved[name].dtype == (torch.float32 if tensor.is_floating_point() else tensor.dtype), name
        assert torch.equal(moved[name], tensor.to(moved[name].dtype)), name
    assert kinds == {torch.float64, torch.int64, torch.bool}
