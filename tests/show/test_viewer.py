"""The web page, opened from disk in a real browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.poses import Poses3D
from posemamba.show.viewer import write_viewer

TITLE = '</script ><script>window.broken=1</script> <!--<script "walk" & {{data}}'


def test_the_page_works_from_disk_without_a_network(
    tmp_path: Path, walker_clip: Callable[..., Poses3D], chromium: Any
) -> None:
    poses = walker_clip(1000, unseen=slice(300, 340))
    page = tmp_path / "poses viewer.html"
    write_viewer(page, poses, title=TITLE)
    assert page.stat().st_size < 320_000

    chromium.open(page.as_uri() + "#frame=10&theme=light&view=camera")
    assert chromium.value("document.getElementById('title').textContent") == TITLE
    assert chromium.value("document.title") == TITLE
    assert chromium.value("window.broken === undefined")
    assert chromium.value("state.frame") == 10
    assert "1000 frames" in chromium.value("document.getElementById('about').textContent")

    # what the page holds is what went in, far below a pixel
    held = np.array(chromium.value("data.joints.map((_, j) => point3(777, j))"))
    assert np.abs(held - poses.xyz[777]).max() < 0.02
    flat = [p or [np.nan] * 2 for p in chromium.value("data.joints.map((_, j) => point2(777, j))")]
    assert np.nanmax(np.abs(np.array(flat, float) - poses.keypoints.xy[777])) < 0.02
    assert np.array_equal(np.isnan(np.array(flat, float)), np.isnan(poses.keypoints.xy[777]))

    # seen from the camera, the 3D lies as the image does: right is right, up is up
    drawn = np.array(chromium.value("onSolid"))[:, :2]
    image = poses.keypoints.xy[10]
    ok = np.isfinite(image).all(-1)
    for axis in (0, 1):
        assert np.corrcoef(drawn[ok, axis], image[ok, axis])[0, 1] > 0.97
    free = chromium.value("setView('free'), draw(), onSolid")
    assert not np.allclose(np.array(free)[:, :2], drawn)

    # it plays, in time
    start = time.monotonic()
    chromium.press(" ")
    chromium.until("state.frame >= 40")
    assert 0.4 < time.monotonic() - start < 5  # 30 frames at 50 frames/s
    chromium.press(" ")
    paused = chromium.value("state.frame")
    chromium.press("ArrowRight")
    assert chromium.value("state.frame") == paused + 1

    # scrubbing, and a frame in which nobody was seen
    place = "document.getElementById('strip').getBoundingClientRect().toJSON()"
    strip = chromium.value(place)
    chromium.click(strip["x"] + 0.32 * strip["width"], strip["y"] + 10)
    chromium.settle()
    assert 300 <= chromium.value("state.frame") < 340
    assert chromium.value("onSolid.length") == 0
    hidden = "[...document.querySelectorAll('.unseen')].map(node => node.hidden)"
    assert chromium.value(hidden) == [False, False]
    chromium.press("End")
    chromium.settle()
    assert chromium.value("document.getElementById('count').textContent") == "frame 999 / 999"
    assert chromium.value(hidden) == [True, True]

    # a joint under the mouse gives its name and numbers; dragging turns the view
    area = chromium.value("document.getElementById('solid').getBoundingClientRect().toJSON()")
    head = chromium.value("onSolid[data.joints.indexOf('head_top')]")
    chromium.mouse("mouseMoved", area["x"] + head[0], area["y"] + head[1])
    chromium.settle()
    text = chromium.value("document.getElementById('joint').textContent")
    assert text.startswith("head top")
    assert f"x {poses.xyz[999, 10, 0]:.0f}" in re.sub(r"(-?\d+)\.\d", lambda m: f"{float(m[0]):.0f}", text)
    yaw = chromium.value("state.yaw")
    chromium.mouse("mousePressed", area["x"] + 60, area["y"] + 200, 1)
    chromium.mouse("mouseMoved", area["x"] + 90, area["y"] + 200, 1)
    chromium.mouse("mouseMoved", area["x"] + 160, area["y"] + 200, 1)
    chromium.mouse("mouseReleased", area["x"] + 160, area["y"] + 200)
    assert chromium.value("state.yaw") > yaw + 0.5

    drawing = chromium.value(
        "(() => { const t = performance.now();"
        "for (let f = 0; f < 200; f++) { seek(f * 4); draw(); }"
        "return (performance.now() - t) / 200; })()"
    )
    assert drawing < 40  # ms a frame in software; a few on a desktop
    assert chromium.complaints() == []
    asked = {address.split("#")[0] for address in chromium.requests()}
    assert page.as_uri() in asked
    assert asked <= {page.as_uri(), "data:,"}


def test_long_clips_odd_values_and_nobody_at_all(
    tmp_path: Path, walker_clip: Callable[..., Poses3D], chromium: Any
) -> None:
    long = walker_clip(10_000, unseen=slice(0, 3))
    page = tmp_path / "long.html"
    started = time.monotonic()
    write_viewer(page, long)
    assert time.monotonic() - started < 3
    assert page.stat().st_size < 2_800_000
    chromium.open(page.as_uri() + "#frame=9999")
    assert chromium.value("state.frame") == 9999
    assert chromium.value("document.title") == "walk.mp4"

    nobody = walker_clip(1, unseen=slice(None))
    write_viewer(tmp_path / "nobody.html", nobody, title="nobody")
    chromium.open((tmp_path / "nobody.html").as_uri())
    assert chromium.value("document.querySelector('.unseen').hidden") is False
    assert chromium.complaints() == []


def test_what_is_written_is_safe_and_small(tmp_path: Path, walker_clip: Callable[..., Poses3D]) -> None:
    write_viewer(tmp_path / "page.html", walker_clip(30), title=TITLE)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2  # the data's and the program's
    assert "http" not in text.replace("http-equiv", "")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    assert json.loads(data[1])["title"] == TITLE
    with pytest.raises(ValueError, match="no frames"):
        empty = walker_clip(1)
        empty.xyz = empty.xyz[:0]
        write_viewer(tmp_path / "none.html", empty)
    assert not (tmp_path / "none.html").exists()
