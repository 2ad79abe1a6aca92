"""Make the pictures of the README and the gallery from a video and the demo.

    python scripts/gallery.py demo.mp4
    python scripts/gallery.py demo.mp4 --blender ~/bpy/bin/python    # the picture of Blender, too
    python scripts/gallery.py demo.mp4 --results out                 # lift nothing, take these

The video is the demo of Sports2D (BSD 3-Clause), whose second person walks. Needs the extras `video` and `plot`;
viewer.png needs a Chromium on the path. Pictures go into docs/images.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "tests")]
IMAGES = ROOT / "docs" / "images"
HERO_FRAMES, HERO_STEP, HERO_WIDTH, HERO_QUALITY = range(28, 166), 3, 760, 55
"""Frames of the moving picture, its share of them, pixels, and WebP's quality: below 2 MB in all."""


def lift(video: Path, folder: Path) -> Path:
    """Lift everybody of the video; returns the folder of the results."""
    out = folder / "out"
    command = ["lift", str(video), "-o", str(out), "--person", "all", "--smooth", "--steady-bones", "--angles"]
    subprocess.run([sys.executable, "-m", "posemamba", *command, "--export", "glb"], check=True)
    return out


def hero(results: Path) -> None:
    """Write a part of the overlay as a moving WebP."""
    import av

    with av.open(str(results / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 30)
        frames = [
            frame.to_image()
            for number, frame in enumerate(container.decode(stream))
            if number in HERO_FRAMES and (number - HERO_FRAMES[0]) % HERO_STEP == 0
        ]
    size = (HERO_WIDTH, round(frames[0].height * HERO_WIDTH / frames[0].width))
    first, *rest = (frame.resize(size, 1) for frame in frames)
    options = {"duration": round(1000 * HERO_STEP / rate), "loop": 0, "quality": HERO_QUALITY, "method": 6}
    first.save(IMAGES / "hero.webp", save_all=True, append_images=rest, **options)


def knee(results: Path) -> None:
    """Draw the knees of person 2 from the table of angles, with their expected errors."""
    import numpy as np
    from matplotlib.figure import Figure

    with (results / "angles_2.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["seen"] == "1"]
    time = np.array([float(row["time_s"]) for row in rows])
    figure = Figure((8, 3.2), layout="constrained")
    axes = figure.subplots()
    for side, colour in (("left", "#0067a5"), ("right", "#d04a02")):
        name = f"{side}_knee_flexion"
        degrees, error = (
            np.array([float(row[f"{name}_{what}"] or "nan") for row in rows]) for what in ("deg", "error_deg")
        )
        doubted = np.array([bool(row[f"{name}_note"]) for row in rows])
        axes.fill_between(time, degrees - error, degrees + error, color=colour, alpha=0.15, linewidth=0)
        axes.plot(time, degrees, color=colour, linewidth=1, linestyle=":")
        axes.plot(time, np.where(doubted, np.nan, degrees), color=colour, linewidth=2, label=side)
    axes.set(xlabel="seconds", ylabel="knee flexion, degrees", xlim=(time[0], time[-1]))
    axes.legend(title="dotted: edge-on, guessed or not to be trusted", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGES / "knee.png", dpi=110)


def blender(results: Path, python: str) -> None:
    """Render the walk of person 2 by a Python that has Blender's package."""
    command = [python, str(ROOT / "scripts" / "blender.py"), str(results / "poses_2.glb"), "--fps", "30"]
    subprocess.run([*command, "--picture", str(IMAGES / "blender.png")], check=True)


def viewer(folder: Path) -> None:
    """Open the demo's page in Chromium at two seconds with the left wrist chosen, and take a picture."""
    import base64

    from fixtures.browsers.chromium import NAMES, Chromium

    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        print("no Chromium on the path: viewer.png is left as it is", file=sys.stderr)
        return
    demo = folder / "demo"
    subprocess.run([sys.executable, "-m", "posemamba", "demo", "-o", str(demo), "--no-open"], check=True)
    browser = Chromium(program, str(folder / "profile"))
    try:
        browser.screen(1200, 800)
        browser.open((demo / "viewer.html").as_uri())
        for _ in range(100):
            browser.press("ArrowRight")
        browser.settle()
        data = browser.send("Page.captureScreenshot", format="png")["data"]
        (IMAGES / "viewer.png").write_bytes(base64.b64decode(data))
    finally:
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--results", type=Path, help="a folder that posemamba lift --person all has written")
    parser.add_argument("--blender", metavar="PYTHON", help="a Python with the package bpy")
    parser.add_argument("--only", help="some of hero, knee, blender, viewer, with commas")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else ["hero", "knee", "blender", "viewer"]
    with tempfile.TemporaryDirectory() as name:
        results = given.results or (lift(given.video, Path(name)) if set(wanted) - {"viewer"} else Path(name))
        for each in wanted:
            if each == "viewer":
                viewer(Path(name))
            elif each == "blender":
                if given.blender:
                    blender(results, given.blender)
            else:
                {"hero": hero, "knee": knee}[each](results)


if __name__ == "__main__":
    main()
