"""The peak memory of ``posemamba lift`` does not grow with the length of the clip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posemamba.io.video.picture import ArrayPicture
from posemamba.io.video.writer import VideoWriter

SHORT, LONG = 300, 12_000  # frames: 10 s and 400 s
MOST = 1.10

# a detector that costs nothing and sees one person in every frame, so that minutes of video take seconds
PROGRAM = """
import sys
import numpy as np
import posemamba.detect.blazepose as blazepose
from posemamba import cli
from posemamba.poses.skeletons import BLAZEPOSE33
from posemamba.poses.detections import Detection

class Detector:
    skeleton, doubtful, state = BLAZEPOSE33, set(), {}
    def __init__(self, *given, **options): self.frames = 0
    def begin(self, fps): self.frames = 0
    def resume(self, fps, state): raise AssertionError
    def close(self): pass
    def __call__(self, rgb):
        self.frames += 1
        x = 80 + 15 * np.sin(np.arange(33) + self.frames / 10)
        xy = np.stack([x, np.linspace(20, 110, 33)], 1).astype(np.float32)
        return [Detection(xy, np.full(33, 0.9, np.float32), 1)]

blazepose.BlazePoseDetector = Detector
assert cli.main(["lift", *sys.argv[1:]]) == 0
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print("peak", status["VmHWM"].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_the_peak_is_that_of_a_short_clip(weights: Path, tmp_path: Path) -> None:
    peaks = {}
    for frames in (SHORT, LONG):
        video, out = tmp_path / f"{frames}.mp4", tmp_path / f"{frames}"
        rgb = np.full((120, 160, 3), 90, np.uint8)
        rgb[40:80, 60:100] = 200
        planes = ArrayPicture(rgb).planes(160, 120)
        with VideoWriter(video, 30) as writer:
            for _ in range(frames):
                writer.write_planes(planes)
        command = [sys.executable, "-c", PROGRAM, video, "-o", out, "--weights", weights]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert {"overlay.mp4", "viewer.html", "poses.npz", "keypoints.npz"} <= {file.name for file in out.iterdir()}
        peaks[frames] = int(done.stdout.split()[-1]) / 1024
    assert peaks[LONG] < MOST * peaks[SHORT], {frames: f"{peak:.0f} MB" for frames, peak in peaks.items()}
