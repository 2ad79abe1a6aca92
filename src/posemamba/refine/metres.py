"""The result of lifting: the network's poses placed before the camera, in metres and in perspective."""

from __future__ import annotations

from posemamba.poses import NetworkPoses, Poses3D
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import scale


def to_metres(network: NetworkPoses, height_m: float | None = None) -> Poses3D:
    """Put the network's poses into metres, with the pelvis's path, in the real camera's axes.

    Args:
        network: as the lifter gives them, with the virtual camera of the lifting.
        height_m: the person's standing height in metres, without shoes; None: a typical one, marked as an estimate.

    Returns:
        The poses, with the steps `scale` and `root_path`.

    Raises:
        PoseMambaError: a height that no person has, nobody seen in any frame, frame times that do not rise, or all
            joints of a frame in one place.
    """
    return root_path(scale(Poses3D.raw(network), height_m))
