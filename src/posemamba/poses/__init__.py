"""The data types of the package: skeletons, 2D keypoints, 3D poses and refined motions, without PyTorch."""

from posemamba.poses.keypoints import Feet2D, Keypoints2D
from posemamba.poses.poses3d import NetworkPoses, Poses3D, Step
from posemamba.poses.trust import Trust

__all__ = ["Feet2D", "Keypoints2D", "NetworkPoses", "Poses3D", "Step", "Trust"]
