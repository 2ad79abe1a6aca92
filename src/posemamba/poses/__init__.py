"""The data types of the package: skeletons, 2D keypoints, 3D poses and refined motions, without PyTorch."""

from posemamba.poses.keypoints import Keypoints2D
from posemamba.poses.motion3d import Motion3D, Step
from posemamba.poses.poses3d import Poses3D

__all__ = ["Keypoints2D", "Motion3D", "Poses3D", "Step"]
