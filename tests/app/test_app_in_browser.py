"""The application from drop to download, driven in real browsers, with real detection and lifting."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.browsers.base import Browser, saved
from fixtures.browsers.chromium import Chromium
from fixtures.command_line import keypoints, write_video
from posemamba.app.jobs import Job, Store

pytestmark = pytest.mark.slow


class Server:
    """A server of its own process; `address` opens its page."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "posemamba", "app", "--folder", str(folder), "--no-open", f"--port={port}"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=\S+", line)
        assert found is not None, line
        self.address, self.port = found[0], int(found[1])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def most_memory(self) -> int:
        """The most memory that the server has had, in MB."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) // 1000

    @property
    def jobs(self) -> dict[str, Job]:
        """What is on disk, by the names of the files."""
        found = {}
        for path in (self.folder / "jobs").glob("*/job.json"):
            job = Job.parse(path.read_text())
            found[job.name] = job
        return found

    def results(self, name: str) -> Path:
        return self.folder / "jobs" / self.jobs[name].id / "results"

    def log(self, name: str) -> str:
        return (self.results(name).parent / "log.txt").read_text()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    pytest.importorskip("starlette", reason="the extra 'app'")
    servers: list[Server] = []

    def start(*options: str, port: int = 0) -> Server:
        servers.append(Server(tmp_path / "folder", *options, port=port))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.close()


@pytest.fixture
def clip(shared: Callable[..., Path]) -> Path:
    """A clip of 7.7 seconds in which two people are seen."""
    return shared("video", "sports2d_demo.mp4")


def choose(browser: Browser, **options: str | bool) -> None:
    """Fill in the form of new files."""
    for name, value in options.items():
        set = f"i.checked = {json.dumps(value)}" if isinstance(value, bool) else f"i.value = {json.dumps(value)}"
        browser.value(f"(() => {{ const i = document.getElementById('o-options-{name}'); {set}; }})()")


def shown(browser: Browser, state: str, timeout: float = 240) -> None:
    """Wait until the job of the page is in a state."""
    browser.until(f"document.getElementById('job').className === '{state}'", timeout)


def nameless(chromium: Chromium) -> list[str]:
    """What a screen reader cannot name among all that can be operated."""
    roles = ("button", "link", "textbox", "checkbox", "combobox", "progressbar", "Iframe", "image", "img")
    nodes = chromium.send("Accessibility.getFullAXTree")["nodes"]
    return [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles and not node.get("name", {}).get("value")
    ]


def ready(browser: Browser, files: int = 1) -> None:
    """Wait until so many files are uploaded."""
    browser.until(
        "!document.getElementById('go').disabled && "
        f"document.querySelectorAll('#new-list [data-job]').length === {files}",
        60,
    )


def start(browser: Browser) -> None:
    browser.value("document.getElementById('go').scrollIntoView()")
    browser.click_on("#go")


def same_as_the_command(server: Server, name: str, tmp_path: Path, person: str) -> None:
    """Lift the same file by the command line; the results and their digest are the same, to the last bit."""
    from posemamba.app.options import arguments

    job, out = server.jobs[name], tmp_path / "by hand"
    source = server.results(name).parent / "input" / name
    given = [str(source), "-o", str(out), *arguments(job.options, job.kind, person)]
    subprocess.run([sys.executable, "-m", "posemamba", "lift", *given], check=True, capture_output=True)
    names = {path.name for path in out.iterdir()} - {"people.jpg"}
    assert names == {path.name for path in server.results(name).iterdir() if path.name[0] != "."} - {"people.jpg"}
    with np.load(out / "poses.npz") as one, np.load(server.results(name) / "poses.npz") as two:
        assert set(one.files) == set(two.files)
        for key in one.files:
            np.testing.assert_array_equal(one[key], two[key])
        digests = [json.loads(str(each["header"]))["details"]["call"]["digest"] for each in (one, two)]
    assert digests[0] == digests[1]
    for end in ("csv", "trc", "bvh", "glb"):
        assert (out / f"poses.{end}").read_bytes() == (server.results(name) / f"poses.{end}").read_bytes()


def test_two_people_from_drop_to_download(
    serve: Callable[..., Server], chromium: Chromium, clip: Path, tmp_path: Path
) -> None:
    server = serve()
    chromium.go(server.address)
    assert "token" not in chromium.value("location.href")
    chromium.drop("#drop", clip)
    ready(chromium)
    choose(chromium, detector="lite", end="3", height="1.80")
    chromium.value("document.querySelector('#options details').open = true")
    assert nameless(chromium) == []
    start(chromium)
    shown(chromium, "running")
    chromium.until("/frame \\d+ of \\d+/.test(document.getElementById('frames').textContent)", 120)
    chromium.until("/left$/.test(document.getElementById('left').textContent)", 120)
    chromium.reload()  # in mid-work
    shown(chromium, "choose")
    chromium.until("document.querySelectorAll('.person svg.strip').length >= 2")
    assert nameless(chromium) == []
    assert len(server.jobs[clip.name].people) >= 2
    chromium.click_on(".person:nth-child(2)")
    shown(chromium, "done")
    assert server.jobs[clip.name].person == "2"
    assert "1.80" in server.log(clip.name) or server.jobs[clip.name].options["height"] == "1.80"
    chromium.until("document.querySelector('iframe') !== null")
    assert nameless(chromium) == []
    folder = tmp_path / "saved"
    folder.mkdir()
    chromium.download_to(folder)
    for words, pattern in (
        ("Joints", "*poses.csv"),
        ("OpenSim", "*.trc"),
        ("Animation", "*.bvh"),
        ("Animated body", "*.glb"),
        ("Overlay video", "*overlay.mp4"),
        ("Angles", "*angles.csv"),
        ("Everything", "*.zip"),
    ):
        chromium.value(
            f"[...document.querySelectorAll('.downloads a')].find((a) => a.textContent.startsWith('{words}')).click()"
        )
        path = saved(folder, pattern)
        if pattern == "*.zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None and f"{clip.stem}/viewer.html" in archive.namelist()
        else:
            inner = path.name.removeprefix(f"{clip.stem}_")
            assert path.read_bytes() == (server.results(clip.name) / inner).read_bytes()
    assert all(url.startswith((f"http://127.0.0.1:{server.port}/", "data:", "blob:")) for url in chromium.requests())
    assert chromium.complaints() == []
    same_as_the_command(server, clip.name, tmp_path, "2")
    # the list shows it, and it can be removed
    chromium.go(f"http://127.0.0.1:{server.port}/")
    chromium.until("document.querySelectorAll('#list .done').length === 1")
    chromium.click_on("#list button")
    chromium.until("document.getElementById('ask').open")
    chromium.click_on("#ask button[value=yes]")
    chromium.until("document.querySelectorAll('#list li').length === 0")
    assert not list((server.folder / "jobs").iterdir())


def test_a_keypoint_file_becomes_a_result(serve: Callable[..., Server], browser: Browser, tmp_path: Path) -> None:
    from posemamba.io.keypoints import write_keypoints_npz

    server, points, folder = serve(), tmp_path / "points.npz", tmp_path / "saved"
    write_keypoints_npz(points, keypoints(60))
    folder.mkdir()
    browser.go(server.address)
    assert "token" not in browser.value("location.href")
    browser.choose_file("#files", points)
    ready(browser)
    start(browser)
    shown(browser, "done", 120)
    browser.until("document.querySelector('iframe') !== null")

    def fits() -> None:
        browser.until("document.documentElement.scrollWidth <= innerWidth")

    for size in ((1366, 768), (390, 844)):
        browser.screen(*size)
        fits()
        assert browser.box("header")["height"] < 64  # one row
    browser.download_to(folder)
    browser.value(
        "[...document.querySelectorAll('.downloads a')].find((a) => a.textContent.startsWith('Joints')).click()"
    )
    table = saved(folder, "*poses.csv").read_bytes()
    assert table == (server.results("points.npz") / "poses.csv").read_bytes() and table.count(b"\n") == 61

    # the viewer in a page of its own, as the server gives it: it plays by itself, and saves
    browser.screen(1200, 800)
    browser.open(browser.value("document.querySelector('.viewer a').href"))
    browser.until("state.playing && state.frame > 30")
    browser.press(" ")
    assert browser.value("state.playing") is False
    browser.click_on("#save summary")
    browser.click_on("[data-save=angles]")
    assert saved(folder, "walker_angles.csv").read_bytes().count(b"\n") == 61
    browser.screen(390, 844)
    browser.settle()
    fits()
    browser.go(server.address.split("?")[0])
    browser.until("document.querySelectorAll('#list .done').length === 1")
    fits()
    assert all(url.startswith((server.address.split("?")[0], "data:", "blob:")) for url in browser.requests())
    assert browser.complaints() == []

    # the page notices that the server goes, and that it is there again
    server.kill()
    browser.until("!document.getElementById('banner').hidden", 20)
    serve(port=server.port)
    browser.until("document.getElementById('banner').hidden", 20)


def test_one_person_a_keypoint_file_and_a_broken_one_at_once(
    serve: Callable[..., Server], chromium: Chromium, shared: Callable[..., Path], tmp_path: Path
) -> None:
    from posemamba.io.keypoints import write_keypoints_npz

    server = serve("--at-once", "2")
    one = shared("real_video", "videos", "cam03.mp4")
    points, broken, other = tmp_path / "points.npz", tmp_path / "broken.mp4", tmp_path / "notes.txt"
    write_keypoints_npz(points, keypoints(60))
    broken.write_bytes(one.read_bytes()[:20_000])
    other.write_text("not a video")
    chromium.go(server.address)
    chromium.drop("#drop", one, points, broken, other)
    ready(chromium, 3)
    assert "notes.txt: is no video" in chromium.value("document.querySelector('#new-list .failed .error').textContent")
    choose(chromium, detector="lite", end="0.5")
    start(chromium)
    chromium.until("document.querySelectorAll('#list .running').length === 2", 60)  # two at once, the third waits
    chromium.until(
        "document.querySelectorAll('#list .done').length === 2 && "
        "document.querySelectorAll('#list .failed').length === 1",
        240,
    )
    jobs = server.jobs
    assert jobs["points.npz"].result["frames"] == 25 and jobs[one.name].result["frames"] >= 15
    assert "broken.mp4" in jobs["broken.mp4"].message and str(server.folder) not in jobs["broken.mp4"].message
    assert not list(server.results("broken.mp4").parent.glob("results/*"))
    same_as_the_command(server, one.name, tmp_path, "")
    chromium.value(f"location.hash = '#/job/{jobs['broken.mp4'].id}'")
    shown(chromium, "failed")
    assert chromium.value("document.querySelector('#job .message').textContent") == jobs["broken.mp4"].message
    assert chromium.complaints() == []


def test_a_job_is_stopped_and_goes_on_from_there_also_when_the_server_is_killed(
    serve: Callable[..., Server], chromium: Chromium, clip: Path, tmp_path: Path
) -> None:
    server = serve()
    chromium.go(server.address)
    chromium.choose_file("#files", clip)
    ready(chromium)
    choose(chromium, detector="lite", person="longest", end="4")
    start(chromium)

    def past(frame: int) -> None:
        chromium.until(
            f"Number(/frame (\\d+)/.exec(document.getElementById('frames')?.textContent ?? '')?.[1] ?? 0) > {frame}",
            120,
        )

    past(20)
    chromium.click_on("#work button")
    shown(chromium, "cancelled", 40)
    assert server.jobs[clip.name].state == "cancelled"
    assert [path.name for path in server.results(clip.name).iterdir()] == ["keypoints.unfinished"]
    chromium.click_on("#job .actions .strong")
    past(40)
    server.kill()
    chromium.until("!document.getElementById('banner').hidden", 20)
    assert server.jobs[clip.name].state == "running"
    again = serve(port=server.port)  # the page that is open goes on by itself
    chromium.until("document.getElementById('banner').hidden", 20)
    shown(chromium, "done")
    kept = [int(frame) for frame in re.findall(r"going on from frame (\d+)", again.log(clip.name))]
    assert len(kept) == 2 and kept[0] >= 20 and kept[1] >= 40
    same_as_the_command(again, clip.name, tmp_path, "")


def test_a_large_upload_goes_to_the_disk_and_not_to_memory(
    serve: Callable[..., Server], browser: Browser, tmp_path: Path
) -> None:
    server, large = serve("--largest", "0.4"), tmp_path / "large.mp4"
    with large.open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1_000_000))
    browser.go(server.address)
    browser.until("document.getElementById('about').textContent !== ''")
    before = server.most_memory()
    begin = time.monotonic()
    browser.choose_file("#files", large)
    ready(browser)
    print(f"300 MB in {time.monotonic() - begin:.1f} s; memory grew by {server.most_memory() - before} MB")
    assert server.most_memory() - before < 50
    (path,) = (server.folder / "jobs").glob("*/input/*")
    assert path.read_bytes() == large.read_bytes()
    with large.open("ab") as file:
        file.truncate(500_000_000)
    browser.choose_file("#files", large)
    browser.until("/more than the 400 MB/.test(document.querySelector('#new-list .error')?.textContent)")
    start(browser)
    shown(browser, "failed")
    assert "large.mp4" in server.jobs["large.mp4"].message


STRANGER = """<!doctype html><title>stranger</title><script>
const at = "http://127.0.0.1:PORT", done = [];
const attempt = (name, promise) =>
  promise.then((value) => done.push([name, value]), () => done.push([name, "refused"]));
const ask = (path, more) => fetch(at + path, { credentials: "include", ...more })
  .then((answer) => answer.type === "opaque" ? "opaque" : answer.text());
const load = (tag, address) => new Promise((resolve, reject) => {
  const element = document.createElement(tag);
  element.onload = () => resolve("loaded");
  element.onerror = reject;
  element.src = address;
  document.head.append(element);
});
const socket = () => new Promise((resolve, reject) => {
  const one = new WebSocket(at.replace("http", "ws") + "/live/frames");
  one.onopen = () => resolve("open");
  one.onerror = reject;
});
(async () => {
  const blind = { method: "POST", mode: "no-cors" };
  await Promise.all([
    attempt("read", ask("/api/jobs")),
    attempt("start", ask("/api/start", { ...blind, body: '{"jobs":["ID"]}' })),
    attempt("upload", ask("/api/files?name=evil.mp4", { ...blind, body: "x" })),
    attempt("remove", ask("/api/jobs/ID", { method: "DELETE" })),
    attempt("picture", load("img", at + "/page/icon.svg")),
    attempt("script", load("script", at + "/page/theme.js")),
    attempt("socket", socket()),
  ]);
  window.outcome = Object.fromEntries(done);
})();
</script>
<form id="f" method="post" enctype="text/plain" action="http://127.0.0.1:PORT/api/files?name=evil.mp4">
<input name="x" value="y"></form>
<iframe src="http://127.0.0.1:PORT/"></iframe>"""


def test_pages_of_strangers_do_nothing(serve: Callable[..., Server], browser: Browser, tmp_path: Path) -> None:
    """In the same browser, which has the cookie: from another port, to which it is sent, and from another host."""
    server = serve()
    browser.go(server.address)
    browser.choose_file("#files", write_video(tmp_path / "walk.mp4"))
    ready(browser)
    (id,) = (job.id for job in Store(server.folder))
    page = STRANGER.replace("PORT", str(server.port)).replace("ID", id)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *given: Any) -> None:
            pass

    stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    before = {path: path.stat().st_mtime_ns for path in server.folder.rglob("*")}
    with contextlib.closing(stranger.socket):
        for host in ("127.0.0.1", "localhost"):
            browser.go(f"http://{host}:{stranger.server_address[1]}/")
            browser.until("window.outcome !== undefined", 30)
            outcome = browser.value("outcome")
            assert {outcome.pop(name) for name in ("start", "upload")} <= {"refused", "opaque"}
            assert set(outcome.values()) == {"refused"}, outcome
            browser.value("document.getElementById('f').submit()")
            browser.until("document.title !== 'stranger'")
            assert "refused" in browser.value("document.body.textContent")
        stranger.shutdown()
    assert {path: path.stat().st_mtime_ns for path in server.folder.rglob("*")} == before
    browser.go(f"http://127.0.0.1:{server.port}/")  # a link or an address that is typed
    ready(browser)
