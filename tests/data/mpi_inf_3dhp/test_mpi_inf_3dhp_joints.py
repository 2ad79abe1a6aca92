"""MPI-INF-3DHP's joints there and back."""

import numpy as np

from posemamba.data.mpi_inf_3dhp.joints import FROM_3DHP, JOINTS, TO_3DHP, to_3dhp, to_h36m
from posemamba.poses.skeletons import H36M17


def test_joints_go_there_and_back_exactly() -> None:
    assert sorted(FROM_3DHP) == list(range(17))
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    np.testing.assert_array_equal(to_3dhp(to_h36m(joints)), joints)
    np.testing.assert_array_equal(to_h36m(to_3dhp(joints)), joints)


def test_joints_of_one_name_are_mapped_to_each_other() -> None:
    other = {"neck": "thorax", "head": "nose"}
    for index, name in enumerate(JOINTS):
        assert H36M17.joints[TO_3DHP[index]] == other.get(name, name)


def test_left_and_right_of_both_skeletons_agree() -> None:
    """Mirroring in one order and in the other is the same."""
    theirs = [
        JOINTS.index(
            n.replace("left", "R").replace("right", "left").replace("R", "right") if n[:4] in ("left", "righ") else n
        )
        for n in JOINTS
    ]
    joints = np.arange(17.0)[:, None]
    np.testing.assert_array_equal(to_h36m(joints[theirs]), to_h36m(joints)[list(H36M17.mirrored)])
