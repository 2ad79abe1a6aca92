"""Small made-up files in the format of the preprocessed Human3.6M file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

FILE = "h36m_sh_conf_cam_source_final.pkl"
SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
TRAIN = (
    ("s_01_act_02_subact_01_ca_01", "Direction", "54138969", 60),
    ("s_05_act_14_subact_01_ca_02", "Walk", "55011271", 9),
    ("s_08_act_14_subact_01_ca_03", "Walk", "58860488", 41),
)
TEST = (
    ("s_09_act_02_subact_01_ca_01", "Direction", "54138969", 50),
    ("s_09_act_05_subact_02_ca_03", "Eat", "58860488", 45),  # blocked
    ("s_11_act_14_subact_02_ca_04", "Walk", "60457274", 20),
    ("s_11_act_14_subact_01_ca_02", "Walk", "55011271", 7),
)


def content(train: Any = TRAIN, test: Any = TEST, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The file's content, which tests may spoil before they write it."""
    random = np.random.default_rng(seed)
    made: dict[str, dict[str, Any]] = {}
    for split, videos in (("train", train), ("test", test)):
        lengths = [length for *_, length in videos]
        frames = sum(lengths)
        label = random.normal(0, 90, (frames, 17, 3)).astype(np.float32)
        label[..., :2] += 500
        label[:, 0, 2] = 0
        made[split] = {
            "joint_2d": label[..., :2] + random.normal(0, 5, (frames, 17, 2)).astype(np.float32),
            "confidence": random.random((frames, 17, 1)).astype(np.float32),
            "joint3d_image": label,
            "camera_name": np.repeat([camera for _, _, camera, _ in videos], lengths),
            "source": [name for name, _, _, length in videos for _ in range(length)],
            "action": [action for _, action, _, length in videos for _ in range(length)],
        }
        if split == "test":
            factor = random.uniform(3, 5, frames).astype(np.float32)
            made[split] |= {"2.5d_factor": factor, "joints_2.5d_image": label * factor[:, None, None]}
    return made


def write(path: Path, made: dict[str, dict[str, Any]] | None = None, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content() if made is None else made, protocol=protocol))
    return path
