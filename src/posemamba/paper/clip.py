"""The clip that a figure is made of: a mocap test clip by name, or the results of lifting in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.npz import load_poses_npz
from posemamba.models.inputs import fill_missing
from posemamba.poses import NetworkPoses
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.evaluate.mocap.scenes import Scene


@dataclass(frozen=True)
class Clip:
    """2D joints of one person, and what else is known of them.

    Attributes:
        name: for headings.
        xy: (F, 17, 2) float32, Human3.6M's normalised image coordinates, gaps filled.
        scene: of a mocap clip the truth, as the benchmark has it.
        poses: of a file what the network gave, in the virtual camera's picture, as `xy` is then.
        confidence: (F, 17) the detector's; None: not known, all joints count as found.
    """

    name: str
    xy: NDArray[np.float32]
    scene: Scene | None = None
    poses: NetworkPoses | None = None
    confidence: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def joints(self) -> NDArray[np.float32]:
        """(F, 17, 3): x, y and confidence, what a model is given."""
        sure = np.ones(self.xy.shape[:2], np.float32) if self.confidence is None else self.confidence
        return np.concatenate([self.xy, sure[..., None]], -1)


def read_clip(source: str, *, inputs: str = "exact", camera: int = 0, data: Path | None = None) -> Clip:
    """A clip by its name.

    Args:
        source: ``mocap:NAME`` or ``mocap:NUMBER``, a clip of the mocap benchmark's test split as one of its cameras
            sees it; else the path of a poses.npz.
        inputs: of a mocap clip: ``exact`` 2D joints, or ``noisy`` ones, with a detector's errors.
        camera: of a mocap clip: 0 to 3.
        data: folder of the motion capture files.

    Raises:
        PoseMambaError: no such clip, camera, inputs or file.
    """
    if source == "mocap" or source.startswith("mocap:"):
        return _mocap(source.partition(":")[2], inputs, camera, data)
    poses = load_poses_npz(Path(source)).network
    width, height = poses.keypoints.image_size
    xy = fill_missing(poses.seen_xy.astype(np.float32)) * np.float32(2 / width) - np.array(
        [1, height / width], np.float32
    )
    name = Path(poses.keypoints.source or source).name
    return Clip(name, xy.astype(np.float32), poses=poses, confidence=poses.confidence)


def _mocap(name: str, inputs: str, camera: int, data: Path | None) -> Clip:
    from posemamba.data.mocap.motions import load_motions
    from posemamba.evaluate.mocap.scenes import CAMERAS, VARIANTS, make_scene

    if inputs not in VARIANTS:
        raise PoseMambaError(f"--inputs is '{inputs}', expected {' or '.join(VARIANTS)}")
    if not 0 <= camera < CAMERAS:
        raise PoseMambaError(f"--camera is {camera}, expected 0 to {CAMERAS - 1}")
    motions = load_motions(data, "test")
    if name.isdigit() and int(name) < len(motions):
        clip = int(name)
    elif name in motions.names:
        clip = motions.names.index(name)
    else:
        some = ", ".join(f"{n} ({d})" for n, d in list(zip(motions.names, motions.descriptions, strict=True))[:6])
        raise PoseMambaError(
            f"mocap:{name}: no such clip, expected mocap:0 to mocap:{len(motions) - 1} or a name: {some}, ..."
        )
    scene = make_scene(motions, clip, (camera,))
    joints = scene.inputs(inputs)[0]
    return Clip(f"{scene.name} ({scene.description})", joints[..., :2], scene=scene, confidence=joints[..., 2])
