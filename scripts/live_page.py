"""Measure the live page in Chromium with a video as its camera: ``python scripts/live_page.py VIDEO``.

Prints a line for each detector and delay: poses a second, and milliseconds from the camera's picture to the drawn pose
(median and 95 %). With ``--picture`` it also writes docs/images/live_page.png, the camera's picture blurred. Needs
Chromium or Chrome on PATH, and the extras `app` and `test`.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fixtures.browsers.chromium import NAMES, Chromium  # noqa: E402

SIZE = (1280, 720)
CASES = (("lite", 0), ("full", 2), ("full", 0))
START = (
    "document.getElementById('detector').value = '{}'; document.getElementById('delay').value = '{}'; "
    "document.getElementById('run').click(); 0"
)


PLACE = """(() => { const { left, top, right, bottom } = document.getElementById('flat').getBoundingClientRect();
    return JSON.stringify([left, top, right, bottom].map(Math.round)); })()"""


def write_camera(video: Path, path: Path, width: int = 640) -> None:
    """Write a video as the raw one that Chromium takes for its camera (y4m)."""
    with av.open(str(video)) as source, av.open(str(path), "w", format="yuv4mpegpipe") as target:
        stream = source.streams.video[0]
        height = round(width * stream.height / stream.width / 2) * 2
        made = target.add_stream("wrapped_avframe", rate=Fraction(stream.average_rate or 30))
        made.width, made.height, made.pix_fmt = width, height, "yuv420p"
        for frame in source.decode(stream):
            small = frame.reformat(width=width, height=height, format="yuv420p")
            small.pts = None
            target.mux(made.encode(small))
        target.mux(made.encode())


def measure(chromium: Any, address: str, detector: str, delay: int, seconds: float) -> str:
    """Start the page's camera, wait until poses come, and measure for some seconds."""
    chromium.go(address.split("?")[0] + "live")
    chromium.until("document.readyState === 'complete' && typeof measured !== 'undefined'")
    time.sleep(0.5)
    chromium.value(START.format(detector, delay))
    chromium.until("measured.drawn > 30", 90)
    chromium.value("measured.delays.length = measured.times.length = 0")
    time.sleep(seconds)
    found = json.loads(chromium.value("JSON.stringify([measured.delays, measured.times])"))
    delays, times = (np.array(values) for values in found)
    rate = 1000 * (len(times) - 1) / (times[-1] - times[0])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{detector}, delay {delay}: {rate:.1f} poses a second, {np.median(delays):.0f} ms, 95 % "
        f"{np.quantile(delays, 0.95):.0f} ms ({len(delays)} poses; load of the system {load})"
    )


def take(chromium: Any) -> None:
    """Write the picture of the guide, once the pose can be used."""
    try:
        chromium.until("scene.pose !== null && scene.pose.trust === 0 && scene.pose.expected_mm[3] < 90", 20)
    except AssertionError:
        print("no pose without doubt in 20 s; the picture shows one that is doubted")
    shot = chromium.send("Page.captureScreenshot", format="png")["data"]
    picture = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    place = json.loads(chromium.value(PLACE))
    picture.paste(picture.crop(place).filter(ImageFilter.GaussianBlur(3)), place)  # no frames of the video in the guide
    small = picture.resize((960, round(960 * picture.height / picture.width)), Image.Resampling.LANCZOS)
    path = ROOT / "docs" / "images" / "live_page.png"
    small.quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"docs/images/{path.name}: {path.stat().st_size // 1000} kB")


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--picture", action="store_true")
    given = parser.parse_args()
    program = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        write_camera(given.video, Path(place) / "camera.y4m")
        command = [sys.executable, "-m", "posemamba", "app", "--folder", f"{place}/app", "--no-open", "--port=0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        chromium = Chromium(program, f"{place}/browser", f"--use-file-for-fake-video-capture={place}/camera.y4m")
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            chromium.screen(*SIZE)
            chromium.go(address[0])
            chromium.value("setTheme('light', true)")
            for detector, delay in CASES:
                print(measure(chromium, address[0], detector, delay, given.seconds), flush=True)
            if given.picture:
                take(chromium)
        finally:
            chromium.close()
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    main()
