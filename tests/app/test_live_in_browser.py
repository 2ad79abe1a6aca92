"""The live page in Chromium with a video as its camera: poses are drawn, a recording becomes a result."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.browser import NAMES, Chromium

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def page(shared: Callable[..., Path], tmp_path: Path) -> Iterator[Any]:
    """The live page of a server of its own; `page.server` is its process."""
    pytest.importorskip("uvicorn", reason="the extra 'app'")
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium or Chrome on PATH: the page is driven in it")
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from live_page import write_camera
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    film = tmp_path / "camera.y4m"
    write_camera(shared("video/sports2d_demo.mp4"), film, 480)
    command = [sys.executable, "-m", "posemamba", "app", "--folder", f"{tmp_path}/app", "--no-open", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None
        camera = "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
        chromium: Any = Chromium(program, f"{tmp_path}/browser", f"{camera} --use-file-for-fake-video-capture={film}")
        chromium.server = server
        try:
            chromium.go(address[0])
            chromium.go(address[0].split("?")[0] + "live")
            chromium.until("document.readyState === 'complete' && typeof measured !== 'undefined'")
            yield chromium
        finally:
            chromium.close()
            server.terminate()


def test_poses_are_drawn_recorded_and_become_a_result(page: Any) -> None:
    page.value("document.getElementById('height').value = '1,78'; document.getElementById('run').click(); 0")
    page.until("measured.drawn > 5 && scene.pose !== null", 120)
    shown = "['rate', 'late', 'away', 'off'].every((id) => /\\d/.test(document.getElementById(id).textContent))"
    page.until(shown, 60)
    assert page.value("document.getElementById('trust').textContent.length > 10")
    assert page.value("scene.pose.xyz.length >= 17")
    page.value("document.getElementById('discs').click(); document.getElementById('mirror').click(); 0")
    page.value("document.getElementById('record').click(); 0")
    page.until("recording && measured.drawn > 12", 60)
    page.value("document.getElementById('record').click(); 0")
    page.until("document.querySelector('#message a') !== null", 60)
    page.value("document.getElementById('run').click(); 0")
    page.until("camera === null && document.getElementById('run').textContent === 'Start the camera'")
    page.go(page.value("document.querySelector('#message a').href"))
    page.until("document.querySelector('iframe') !== null", 300)  # the result's viewer
    thrown = [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]
    assert not thrown, thrown


def test_the_page_says_so_when_the_server_goes(page: Any) -> None:
    page.value("document.getElementById('height').value = 'tall'; document.getElementById('run').click(); 0")
    assert "expected metres" in page.value("document.getElementById('height-error').textContent")
    page.value("document.getElementById('height').value = ''; document.getElementById('run').click(); 0")
    page.until("measured.drawn > 2", 120)
    page.server.kill()
    page.until("document.getElementById('message').textContent.includes('connection to the server broke')", 30)
    assert page.value("document.getElementById('message').classList.contains('error') && camera === null")
