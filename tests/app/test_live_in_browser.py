"""The live page in browsers with made-up cameras: poses are drawn, a recording becomes a result."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.browsers.base import Browser
from fixtures.browsers.chromium import NAMES, Chromium

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@dataclass
class Server:
    """A server of its own process; `address` opens its page."""

    process: subprocess.Popen[str]
    address: str

    def show_live(self, browser: Browser) -> None:
        """Open the live page."""
        browser.go(self.address)
        browser.go(self.address.split("?")[0] + "live")
        browser.until("document.readyState === 'complete' && typeof measured !== 'undefined'")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("uvicorn", reason="the extra 'app'")
    command = [sys.executable, "-m", "posemamba", "app", "--folder", f"{tmp_path}/app", "--no-open", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            yield Server(process, address[0])
        finally:
            process.terminate()


@pytest.fixture
def filming(shared: Callable[..., Path], tmp_path: Path) -> Iterator[Chromium]:
    """Chromium with a video as its camera; Firefox cannot take one."""
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
    chromium = Chromium(program, f"{tmp_path}/browser", f"--use-file-for-fake-video-capture={film}")
    try:
        yield chromium
    finally:
        chromium.close()


def test_poses_are_drawn_recorded_and_become_a_result(server: Server, filming: Chromium) -> None:
    page = filming
    server.show_live(page)
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


def test_the_page_films_and_says_so_when_the_server_goes(server: Server, browser: Browser) -> None:
    server.show_live(browser)
    browser.value("document.getElementById('height').value = 'tall'; document.getElementById('run').click(); 0")
    assert "expected metres" in browser.value("document.getElementById('height-error').textContent")
    browser.value("document.getElementById('height').value = ''; document.getElementById('run').click(); 0")
    browser.until("measured.drawn > 2", 120)
    browser.until("document.getElementById('trust').textContent === 'Nobody is seen.'")  # the camera shows a pattern
    assert browser.complaints() == []
    server.process.kill()
    browser.until("document.getElementById('message').textContent.includes('connection to the server broke')", 30)
    assert browser.value("document.getElementById('message').classList.contains('error') && camera === null")
