"""Take the pictures of the application's guide: ``python scripts/app_pictures.py VIDEO`` writes docs/images/app_*.png.

The video should show several people; its pictures are blurred, so that the guide holds no frames of it. The result is
that of the demo's walker. Needs Chromium or Chrome on PATH, and the extras `app` and `test`.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from PIL import Image, ImageFilter  # noqa: E402

from fixtures.browsers.chromium import NAMES, Chromium  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZE = (1280, 720)
WIDTH, COLOURS = 960, 192


PLACES = """JSON.stringify([...document.querySelectorAll('.strip')].map((one) => {
    const { left, top, right, bottom } = one.getBoundingClientRect(); return [left, top, right, bottom].map(Math.round);
}))"""


def take(chromium: Any, name: str, height: int = SIZE[1]) -> None:
    """Write a picture of the page, small; frames of the video are blurred."""
    chromium.screen(SIZE[0], height)
    time.sleep(1)
    shot = chromium.send("Page.captureScreenshot", format="png")["data"]
    picture = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    for place in json.loads(chromium.value(PLACES)):
        picture.paste(picture.crop(place).filter(ImageFilter.GaussianBlur(4)), place)
    small = picture.resize((WIDTH, round(WIDTH * height / SIZE[0])), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    print(f"docs/images/{name}.png: {(IMAGES / f'{name}.png').stat().st_size // 1000} kB")


def main(video: Path) -> None:
    """Drive the application from drop to result."""
    program = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        command = [
            sys.executable,
            "-m",
            "posemamba",
            "app",
            "--folder",
            f"{place}/posemamba-app",
            "--no-open",
            "--port=0",
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        chromium = Chromium(program, f"{place}/browser")
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            chromium.screen(*SIZE)
            chromium.go(address[0])
            chromium.value("setTheme('light', true)")
            chromium.drop("#drop", video)
            chromium.until("!document.getElementById('go').disabled", 60)
            take(chromium, "app_new", 640)
            chromium.value("document.getElementById('go').click()")
            chromium.until("document.querySelector('#all')?.value > 0.3", 600)
            take(chromium, "app_work", 400)
            chromium.until("document.querySelectorAll('.person svg.strip').length > 0", 900)
            take(chromium, "app_choose", 640)
            demo = [sys.executable, "-m", "posemamba", "demo", "-o", f"{place}/demo", "--no-open"]
            subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
            chromium.go(address[0])
            chromium.drop("#drop", Path(place) / "demo" / "keypoints.npz")
            chromium.until("!document.getElementById('go').disabled", 60)
            chromium.value("document.getElementById('go').click()")
            chromium.until("document.querySelector('iframe') !== null", 900)
            time.sleep(8)
            chromium.value("document.querySelector('.viewer').scrollIntoView({ block: 'end' }); scrollTo(0, 0)")
            take(chromium, "app_result", 860)
        finally:
            chromium.close()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
