"""PoseMamba: monocular 3D human pose from video.

>>> import posemamba
>>> (poses,) = posemamba.lift("walk.mp4")
>>> poses.xyz  # (frames, 17, 3) metres from the camera

The names of `__all__` are the public API: they change by the rules of semantic versions, and what is removed warns
for one minor release before. The namespaces `posemamba.train`, `posemamba.evaluate`, `posemamba.bench`,
`posemamba.cluster` and `posemamba.ops` with the names that they list are for researchers and follow the same rules. All
other modules may move in any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from posemamba.utils.lazy import lazy_names

if TYPE_CHECKING:
    from posemamba.detect import detect_people as detect_people
    from posemamba.io.keypoints import read_keypoints as read_keypoints
    from posemamba.io.keypoints import read_people as read_people
    from posemamba.io.keypoints.convert import write_people as write_keypoints
    from posemamba.io.motion import write_motion as write_motion
    from posemamba.io.motion.npz import load_poses_npz as read_poses
    from posemamba.io.motion.npz import save_poses_npz as save_poses
    from posemamba.io.video.clip import Clip as Clip
    from posemamba.lifting.lifter import Lifter as Lifter
    from posemamba.live.poses import LivePose as LivePose
    from posemamba.live.session import LiveSession as LiveSession
    from posemamba.models.onnx_export import export_onnx as export_onnx
    from posemamba.models.posemamba import PoseMamba as PoseMamba
    from posemamba.models.posemamba_config import PoseMambaConfig as PoseMambaConfig
    from posemamba.models.registry import load_model as load_model
    from posemamba.pipeline.lift import lift as lift
    from posemamba.pipeline.many import lift_many as lift_many
    from posemamba.poses import Keypoints2D as Keypoints2D
    from posemamba.poses import NetworkPoses as NetworkPoses
    from posemamba.poses import Poses3D as Poses3D
    from posemamba.poses.keypoints import choose_people as choose_people
    from posemamba.poses.mapping import to_skeleton as convert_skeleton
    from posemamba.poses.skeletons import Skeleton as Skeleton
    from posemamba.poses.skeletons import get_skeleton as get_skeleton
    from posemamba.poses.trust import Trust as Trust
    from posemamba.poses.virtual_camera import Lens as Lens
    from posemamba.poses.virtual_camera import VirtualCamera as VirtualCamera
    from posemamba.quality import measure_quality as measure_quality
    from posemamba.quality.trust import judge as judge
    from posemamba.quality.verdict import verdict as judge_quality
    from posemamba.refine.angle_accuracy import AngleError as AngleError
    from posemamba.refine.angle_accuracy import angle_errors as angle_errors
    from posemamba.refine.angles import joint_angles as joint_angles
    from posemamba.refine.metres import to_metres as to_metres
    from posemamba.refine.refinement import RefineOptions as RefineOptions
    from posemamba.refine.refinement import refine as refine_poses
    from posemamba.show.overlay import write_overlay as write_overlay
    from posemamba.show.viewer import write_viewer as write_viewer
    from posemamba.utils.errors import PoseMambaError as PoseMambaError
    from posemamba.utils.installation import __version__ as __version__
    from posemamba.weights.names import bundled as bundled_weights

_HOMES = {
    "AngleError": "posemamba.refine.angle_accuracy",
    "Clip": "posemamba.io.video.clip",
    "Keypoints2D": "posemamba.poses",
    "Lens": "posemamba.poses.virtual_camera",
    "Lifter": "posemamba.lifting.lifter",
    "LivePose": "posemamba.live.poses",
    "LiveSession": "posemamba.live.session",
    "Poses3D": "posemamba.poses",
    "PoseMamba": "posemamba.models.posemamba",
    "PoseMambaConfig": "posemamba.models.posemamba_config",
    "PoseMambaError": "posemamba.utils.errors",
    "NetworkPoses": "posemamba.poses",
    "RefineOptions": "posemamba.refine.refinement",
    "Skeleton": "posemamba.poses.skeletons",
    "Trust": "posemamba.poses.trust",
    "VirtualCamera": "posemamba.poses.virtual_camera",
    "__version__": "posemamba.utils.installation",
    "angle_errors": "posemamba.refine.angle_accuracy",
    "bundled_weights": "posemamba.weights.names:bundled",
    "choose_people": "posemamba.poses.keypoints",
    "convert_skeleton": "posemamba.poses.mapping:to_skeleton",
    "detect_people": "posemamba.detect",
    "export_onnx": "posemamba.models.onnx_export",
    "get_skeleton": "posemamba.poses.skeletons",
    "joint_angles": "posemamba.refine.angles",
    "judge": "posemamba.quality.trust",
    "judge_quality": "posemamba.quality.verdict:verdict",
    "lift": "posemamba.pipeline.lift",
    "lift_many": "posemamba.pipeline.many",
    "load_model": "posemamba.models.registry",
    "measure_quality": "posemamba.quality",
    "read_keypoints": "posemamba.io.keypoints",
    "read_people": "posemamba.io.keypoints",
    "read_poses": "posemamba.io.motion.npz:load_poses_npz",
    "refine_poses": "posemamba.refine.refinement:refine",
    "save_poses": "posemamba.io.motion.npz:save_poses_npz",
    "to_metres": "posemamba.refine.metres",
    "write_keypoints": "posemamba.io.keypoints.convert:write_people",
    "write_motion": "posemamba.io.motion",
    "write_overlay": "posemamba.show.overlay",
    "write_viewer": "posemamba.show.viewer",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
