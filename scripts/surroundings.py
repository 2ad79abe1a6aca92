"""Run the commands in odd surroundings; fail on any traceback and on any result that is half written.

Run as root on Linux in a sandbox or container, with the package installed: it mounts small file systems in a namespace
of its own, and changes its user in the processes that it starts. Nothing outside of a temporary folder is written.

    python scripts/surroundings.py [--video FILE] [--only WORD] [--commands lift,info]

--video names a video with a person in it, of which a few frames are taken; without it `lift` of a video is left out.
Each cell of the table is one process: ok (exit code 0), refused (exit code 2 and one line "error: ...") or FAILED; with
too little memory also ended: by native code, which says why, and nothing was written.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

COMMANDS = ("lift", "video", "convert", "quality", "show", "info", "doctor", "demo")
READING = ("lift", "video", "convert", "quality")
WRITING = ("lift", "video", "convert", "quality", "show", "demo")
USUAL = ("lift", "video", "convert", "quality", "show", "info")
WEIGHTS = ("--weights", "posemamba-s27", "--no-flip")
NOBODY = 54321  # a user id that no password file knows
STAYS = b"an earlier result"
MAIN = "import sys\nfrom posemamba.cli import main\nsys.exit(main())"


@dataclass
class Box:
    """A case's own folder, and how its process is started; a surrounding changes it.

    Attributes:
        folder: holds copies of the inputs, and gets `out`.
        name: the command.
        source: the input, if the command has one.
        out: where the results go: a folder, or a file of `convert`, `quality` and `show`.
        before: words before Python, such as setpriv's.
        code: Python that runs before the command.
        started: a new process is needed, not a copy of this one: something is odd from the start.
        shell: the end of a shell's command line, such as a redirection.
    """

    folder: Path
    name: str
    source: Path
    out: Path
    env: dict[str, str]
    before: list[str] = field(default_factory=list)
    code: str = ""
    shell: str = ""
    cwd: Path | None = None
    limits: dict[int, int] = field(default_factory=dict)
    started: bool = True
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def warm(self) -> bool:
        """Tell whether only files are odd, not how the process starts."""
        return not (self.before or self.code or self.shell or self.started)

    def arguments(self) -> list[str]:
        source, out = str(self.source), str(self.out)
        return {
            "lift": ["lift", source, "-o", out, *WEIGHTS, "--export", "bvh"],
            "video": ["lift", source, "-o", out, *WEIGHTS, "--detector", "blazepose-lite"],
            "convert": ["convert", source, out],
            "quality": ["quality", source, "--json", out],
            "show": ["show", "compare", source, "-o", out],
            "info": ["info", "--weights", "posemamba-s27"],
            "doctor": ["doctor"],
            "demo": ["demo", "-o", out, *WEIGHTS, "--frames", "27"],
        }[self.name]

    def command(self) -> list[str]:
        """Return the words of the process to start."""
        python = [sys.executable, "-m", "posemamba"]
        if self.code:
            python = [sys.executable, "-c", f"{self.code}\n{MAIN}"]
        words = [*self.before, *python, *self.arguments()]
        return ["bash", "-c", f'"$@" {self.shell}', "bash", *words] if self.shell else words


@dataclass(frozen=True)
class Surrounding:
    """One row of the table.

    Attributes:
        name: what is odd.
        change: makes it so.
        commands: those that it concerns.
        expected: the outcomes that are right, with blanks between.
    """

    name: str
    change: Callable[[Box], object]
    commands: tuple[str, ...] = USUAL
    expected: str = "ok"


def environment(**changes: str | None) -> Callable[[Box], None]:
    """Set variables; None unsets one; "@" stands for the case's folder."""

    def change(box: Box) -> None:
        for name, value in changes.items():
            box.env.pop(name, None)
            if value is not None:
                box.env[name] = value.replace("@", str(box.folder))

    return change


def tmpfs(box: Box, where: Path, size: str = "1m") -> Path:
    """Mount a file system of a size; it goes with the case."""
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "none", str(where)], check=True)
    box.undo.callback(subprocess.run, ["umount", "-l", str(where)], check=True)
    return where


def fill(folder: Path, spare: int = 0) -> None:
    """Fill a file system but for some bytes."""
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with open(folder / "filler", "r+b") as file:
        file.truncate(max(0, file.seek(0, 2) - spare))


def without_power(box: Box) -> None:
    """Root that is bound by permissions."""
    box.before = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


def as_nobody(box: Box) -> None:
    """A user without a name, who reads all and writes in the case's folder alone."""
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    box.before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
    for path in (box.folder, *box.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def package_is_read_only(box: Box) -> None:
    """Mount the package once more, read-only."""
    import posemamba

    where = str(Path(posemamba.__file__).parent)
    subprocess.run(["mount", "--bind", where, where], check=True)
    box.undo.callback(subprocess.run, ["umount", "-l", where], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", where], check=True)


def no_cache(box: Box) -> None:
    package_is_read_only(box)
    environment(NUMBA_CACHE_DIR=None, XDG_CACHE_HOME=None, HOME="@/keypoints.npz")(box)


def cache_is_a_file(box: Box) -> None:
    no_cache(box)
    environment(NUMBA_CACHE_DIR="@/keypoints.npz")(box)


def cache_is_full(box: Box) -> None:
    package_is_read_only(box)
    fill(tmpfs(box, box.folder / "cache"))
    environment(NUMBA_CACHE_DIR="@/cache")(box)


def damaged_cache(which: str, damage: Callable[[bytes], bytes]) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        shutil.copytree(box.env["NUMBA_CACHE_DIR"], box.folder / "cache")
        files = list((box.folder / "cache").rglob(f"*.{which}"))
        if not files:
            raise RuntimeError("the cache is empty: nothing to damage")
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        environment(NUMBA_CACHE_DIR="@/cache")(box)

    return change


def flipped(data: bytes) -> bytes:
    """Change one byte in each kilobyte of the later half."""
    changed = bytearray(data)
    for i in range(len(data) // 2, len(data), 1024):
        changed[i] ^= 0x55
    return bytes(changed)


def no_temporary_folder(box: Box) -> None:
    """Leave no folder that Python would take for temporary files; the machine's own cannot be closed to its users."""
    box.code = "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/proc']"


def temporary_folder_is_full(box: Box) -> None:
    fill(tmpfs(box, box.folder / "temporary"))
    environment(TMPDIR="@/temporary")(box)


def earlier(box: Box) -> Path:
    """Put earlier results where the new ones go; returns the folder."""
    folder = box.out if box.name in ("lift", "video", "demo") else box.out.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kept.txt" if folder == box.out else box.out).write_bytes(STAYS)
    return folder


def disk_is_full(spare: int) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        disk = tmpfs(box, box.folder / "disk")
        box.out = disk / box.out.name
        earlier(box)
        fill(disk, spare)

    return change


def out_is_not_writable(box: Box) -> None:
    without_power(box)
    folder = earlier(box)
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


def out_is(kind: str) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        folder = box.name in ("lift", "video", "demo")
        if kind == "wrong":  # a file where a folder goes, and the other way round
            box.out.write_bytes(STAYS) if folder else box.out.mkdir()
        elif kind == "below a file":
            (box.folder / "file").write_bytes(STAYS)
            box.out = box.folder / "file" / box.out.name
        elif kind == "a circle of links":
            box.out.symlink_to(box.out)
        elif kind == "a link to nowhere":
            box.out.symlink_to(box.folder / "nowhere" / "at all")
        elif kind == "a long name":  # as long as a name can be, so that nothing fits before or behind it
            suffix = "" if folder else box.out.suffix
            box.out = box.folder / ("\U0001f600" * ((255 - len(suffix)) // 4) + suffix)
        elif kind == "too long a name":
            box.out = box.folder / ("n" * 300 + box.out.suffix)
        elif kind == "too long a path":
            box.out = box.folder.joinpath(*["d" * 200] * 25) / box.out.name
        elif kind == "a device":
            box.out.parent.mkdir(exist_ok=True)  # its own: one of the machine's could be replaced
            os.mknod(box.out, stat.S_IFCHR | 0o666, os.makedev(1, 7))

    return change


def source_is(kind: str) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        source = box.folder / f"odd{box.source.suffix}"
        if kind == "a pipe":
            os.mkfifo(source)
        elif kind == "stdin":
            box.shell, source = f"< '{box.source}'", Path("/dev/stdin")
        elif kind == "piped":
            box.shell, source = f"< <(cat '{box.source}')", Path("/dev/stdin")
        elif kind == "a socket":
            server = box.undo.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(source))
        elif kind == "a folder":
            source.mkdir()
        elif kind == "a circle of links":
            source.symlink_to(source)
        elif kind == "empty":
            source.touch()
        elif kind == "unreadable":
            shutil.copy(box.source, source)
            source.chmod(0)
            without_power(box)
        elif kind == "in a closed folder":
            inner = box.folder / "closed"
            inner.mkdir()
            shutil.copy(box.source, inner / source.name)
            inner.chmod(0)
            source = inner / source.name
            without_power(box)
        elif kind == "too long a name":
            source = source.with_name("n" * 300 + source.suffix)
        elif kind == "too long a path":
            source = box.folder.joinpath(*["d" * 200] * 25) / source.name
        elif kind == "a long name":
            source = source.with_name("\U0001f600" * 62 + source.suffix)
            shutil.copy(box.source, source)
        elif kind == "bytes":
            source = Path(os.fsdecode(os.fsencode(box.folder) + b"/\xff\xfe\xe9 odd\n" + os.fsencode(source.suffix)))
            shutil.copy(box.source, source)
            out = os.fsencode(box.folder) + b"/out\xff\xe9" + os.fsencode(box.out.suffix)
            box.out = Path(os.fsdecode(out))
        box.source = source

    return change


def bytes_in(**variables: str | None) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        box.started = True
        source_is("bytes")(box)
        environment(**variables)(box)

    return change


def working_folder_is_gone(box: Box) -> None:
    gone = box.folder / "gone"
    gone.mkdir()
    box.cwd = gone
    box.before = ["bash", "-c", f"rmdir '{gone}'; exec \"$@\"", "bash"]


def redirected(how: str) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        box.shell = how

    return change


def limited(what: int, to: int) -> Callable[[Box], None]:
    def change(box: Box) -> None:
        box.limits[what] = to

    return change


def one_processor(box: Box) -> None:
    box.before = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


CLOCK = """
import time
back = time.time()
for name in ("time", "localtime", "gmtime"):
    def changed(*given, real=getattr(time, name), name=name):
        moved = time.monotonic() % 1000
        return moved if name == "time" else real(*(given or (moved,)))
    setattr(time, name, changed)
del back
"""


def clock_in_1970(box: Box) -> None:
    box.code = CLOCK
    os.utime(box.source, (0, 0))


def terminal_of_width_1(box: Box) -> None:
    """Run on a pseudo-terminal whose window has one column."""
    box.before = [sys.executable, "-c", PTY]


PTY = """
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 1, 1, 0, 0))
said = b""
try:
    while piece := os.read(terminal, 65536):
        said += piece
except OSError:
    pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os.write(2 if code else 1, said.replace(b"\\r\\n", b"\\n"))
sys.exit(code)
"""

EITHER = "ok refused"
STARTING = ("lift", "convert", "info")
SURROUNDINGS = (
    Surrounding("nothing odd", lambda box: None, COMMANDS),
    Surrounding("no place for Numba's cache", no_cache, ("lift", "show", "info", "doctor")),
    Surrounding("NUMBA_CACHE_DIR is a file", cache_is_a_file, ("lift", "info")),
    Surrounding("Numba's cache is full", cache_is_full, ("lift",)),
    Surrounding("garbage in .nbi", damaged_cache("nbi", lambda data: b"garbage"), ("lift",)),
    Surrounding("garbage in .nbc", damaged_cache("nbc", lambda data: b"garbage"), ("lift",)),
    Surrounding("empty .nbi", damaged_cache("nbi", lambda data: b""), ("lift",)),
    Surrounding("changed bytes in .nbi", damaged_cache("nbi", flipped), ("lift",)),
    Surrounding("changed bytes in .nbc", damaged_cache("nbc", flipped), ("lift",)),
    Surrounding("half of .nbc", damaged_cache("nbc", lambda data: data[: len(data) // 2]), ("lift",)),
    Surrounding("package is read-only", package_is_read_only),
    Surrounding("HOME unset", environment(HOME=None)),
    Surrounding("unknown user", as_nobody),
    Surrounding("unknown user, HOME unset", lambda box: (environment(HOME=None)(box), as_nobody(box)), COMMANDS),
    Surrounding("HOME is a file", environment(HOME="@/keypoints.npz")),
    Surrounding(
        "XDG folders are files",
        environment(
            XDG_CACHE_HOME="@/keypoints.npz",
            XDG_DATA_HOME="@/keypoints.npz",
            XDG_CONFIG_HOME="@/keypoints.npz",
            XDG_RUNTIME_DIR="@/keypoints.npz",
        ),
    ),
    Surrounding("POSEMAMBA folders are files", environment(POSEMAMBA_CACHE="@/keypoints.npz")),
    Surrounding("HOME of an unknown user", environment(HOME="~unknown", XDG_DATA_HOME="~unknown/x")),
    Surrounding("TMPDIR is missing", environment(TMPDIR="@/nowhere")),
    Surrounding("TMPDIR is full", temporary_folder_is_full),
    Surrounding("no temporary folder (Python's)", no_temporary_folder, COMMANDS, EITHER),
    Surrounding("output: disk is full", disk_is_full(0), WRITING, "refused"),
    Surrounding("output: disk has 8 kB left", disk_is_full(8192), WRITING, EITHER),
    Surrounding("output: disk has 60 kB left", disk_is_full(60_000), WRITING, EITHER),
    Surrounding("output: not writable", out_is_not_writable, WRITING, "refused"),
    Surrounding("output: file for folder and back", out_is("wrong"), WRITING, "refused"),
    Surrounding("output: below a file", out_is("below a file"), WRITING, "refused"),
    Surrounding("output: circle of links", out_is("a circle of links"), WRITING, EITHER),
    Surrounding("output: link to nowhere", out_is("a link to nowhere"), WRITING, EITHER),
    Surrounding("output: longest name", out_is("a long name"), WRITING),
    Surrounding("output: too long a name", out_is("too long a name"), WRITING, "refused"),
    Surrounding("output: too long a path", out_is("too long a path"), WRITING, "refused"),
    Surrounding("output: a device", out_is("a device"), WRITING, "refused"),
    Surrounding("input: name of bytes", source_is("bytes"), READING),
    Surrounding("input: name of bytes, LANG=C", bytes_in(LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii"), READING),
    Surrounding(
        "input: name of bytes, ASCII alone",
        bytes_in(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii:strict"),
        READING,
    ),
    Surrounding("input: longest name", source_is("a long name"), READING),
    Surrounding("input: too long a name", source_is("too long a name"), READING, "refused"),
    Surrounding("input: too long a path", source_is("too long a path"), READING, "refused"),
    Surrounding("input: pipe", source_is("a pipe"), READING, "refused"),
    Surrounding("input: /dev/stdin, a file", source_is("stdin"), READING, EITHER),
    Surrounding("input: /dev/stdin, a pipe", source_is("piped"), READING, "refused"),
    Surrounding("input: socket", source_is("a socket"), READING, "refused"),
    Surrounding("input: folder", source_is("a folder"), READING, "refused"),
    Surrounding("input: circle of links", source_is("a circle of links"), READING, "refused"),
    Surrounding("input: empty file", source_is("empty"), READING, "refused"),
    Surrounding("input: no permission", source_is("unreadable"), READING, "refused"),
    Surrounding("input: closed folder", source_is("in a closed folder"), READING, "refused"),
    Surrounding("working folder is gone", working_folder_is_gone, USUAL, EITHER),
    Surrounding("stdin closed", redirected("<&-")),
    Surrounding("stdout closed", redirected(">&-"), USUAL, EITHER),
    Surrounding("stderr closed", redirected("2>&-")),
    Surrounding("all three closed", redirected("<&- >&- 2>&-")),
    Surrounding("stdout is full", redirected("> /dev/full"), USUAL, "refused"),
    Surrounding("stderr is full", redirected("2> /dev/full")),
    Surrounding("terminal of width 1", terminal_of_width_1, STARTING),
    Surrounding("TERM=dumb, NO_COLOR, COLUMNS=0", environment(TERM="dumb", NO_COLOR="1", COLUMNS="0"), STARTING),
    Surrounding("COLUMNS=nonsense, TERM unknown", environment(TERM="what?", COLUMNS="wide"), STARTING),
    Surrounding("24 open files", limited(resource.RLIMIT_NOFILE, 24), USUAL, EITHER),
    Surrounding("8 open files", limited(resource.RLIMIT_NOFILE, 8), USUAL, EITHER),
    Surrounding("memory of 3 GB", limited(resource.RLIMIT_AS, 3 << 30), USUAL, "ok refused ended"),
    Surrounding("memory of 700 MB", limited(resource.RLIMIT_AS, 700 << 20), USUAL, "ok refused ended"),
    Surrounding("memory of 250 MB", limited(resource.RLIMIT_AS, 250 << 20), USUAL, "ok refused ended"),
    Surrounding("files of up to 20 kB", limited(resource.RLIMIT_FSIZE, 20_000), WRITING, EITHER),
    Surrounding("one processor", one_processor, ("lift", "video")),
    Surrounding("OMP_NUM_THREADS=nonsense", environment(OMP_NUM_THREADS="nonsense"), STARTING),
    Surrounding("OMP_NUM_THREADS=0", environment(OMP_NUM_THREADS="0"), STARTING),
    Surrounding("NUMBA_NUM_THREADS=nonsense", environment(NUMBA_NUM_THREADS="nonsense"), ("lift",), EITHER),
    Surrounding("NUMBA_NUM_THREADS=1", environment(NUMBA_NUM_THREADS="1", OMP_NUM_THREADS=None), ("lift",)),
    Surrounding("TZ odd", environment(TZ="Nowhere/Odd+99"), STARTING),
    Surrounding("LC_ALL unknown", environment(LC_ALL="xx_YY.nothing", LANG="xx"), STARTING),
    Surrounding("no locale at all", environment(LC_ALL=None, LANG=None, LC_CTYPE=None), STARTING),
    Surrounding("nothing in the environment", lambda box: box.env.clear(), ("lift", "info", "show")),
    Surrounding("clock in 1970 (Python's)", clock_in_1970, USUAL),
)


@dataclass(frozen=True)
class Inputs:
    """The inputs that all cases copy."""

    keypoints: Path
    result: Path
    video: Path | None


def make_inputs(folder: Path, video: str | None) -> Inputs:
    """Make up keypoints, lift them, and take a few frames of the video."""
    import numpy as np

    from posemamba.demo.walker import walk
    from posemamba.io.keypoints.npz import write_keypoints_npz
    from posemamba.poses import Keypoints2D
    from posemamba.poses.skeletons import H36M17

    xy = walk(27, 50)[..., [0, 2]] * np.float32([80, -80]) + np.float32([160, 200])
    people = Keypoints2D(xy, np.ones((27, 17), np.float32), H36M17, (320, 240), 50, source="walker")
    keypoints = folder / "keypoints.npz"
    write_keypoints_npz(keypoints, people)
    words = ["lift", str(keypoints), "-o", str(folder / "result"), *WEIGHTS, "--no-overlay", "--no-viewer"]
    subprocess.run([sys.executable, "-m", "posemamba", *words], check=True, stdout=subprocess.DEVNULL)
    return Inputs(keypoints, folder / "result" / "poses.npz", cut(Path(video), folder) if video else None)


def cut(video: Path, folder: Path, frames: int = 10) -> Path:
    """Write the first frames of a video, half as large."""
    import av

    short = folder / "video.mp4"
    with av.open(str(video)) as source, av.open(str(short), "w") as target:
        stream = None
        for i, frame in enumerate(source.decode(video=0)):
            if i == frames:
                break
            size = frame.width // 4 * 2, frame.height // 4 * 2
            if stream is None:
                stream = target.add_stream("libx264", rate=25)
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            small = frame.reformat(*size, format="yuv420p")
            small.pts, small.time_base = i, Fraction(1, 25)
            target.mux(stream.encode(small))
        if stream is not None:
            target.mux(stream.encode(None))
    return short


@contextlib.contextmanager
def box_for(name: str, inputs: Inputs, folder: Path, cache: Path) -> Iterator[Box]:
    """Make a case's folder with its inputs, and take it away again."""
    folder.mkdir()
    shutil.copy(inputs.keypoints, folder / "keypoints.npz")
    shutil.copy(inputs.result, folder / "poses.npz")
    source = folder / {"quality": "poses.npz", "show": "poses.npz", "video": "video.mp4"}.get(name, "keypoints.npz")
    if name == "video" and inputs.video is not None:
        shutil.copy(inputs.video, source)
    (folder / "home").mkdir()
    (folder / "to").mkdir()
    file = {"convert": "to/made.csv", "quality": "to/made.json", "show": "to/made.png"}.get(name, "out")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("POSEMAMBA", "XDG", "MPL", "COLUMNS"))}
    env |= {"HOME": str(folder / "home"), "NUMBA_CACHE_DIR": str(cache)}
    box = Box(folder, name, source, folder / file, env)
    try:
        with box.undo:
            yield box
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the files and links below a folder with their content, but for caches of other programs."""
    found = {}
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if inner.parts[0] in ("home", "cache", "temporary", "gone") or path.name == "filler":
            continue
        if path.is_symlink():
            found[str(inner)] = os.fsencode(os.readlink(path))
        elif not path.is_file() and not path.is_dir():
            found[str(inner)] = str(path.stat().st_mode).encode()
        elif path.is_file():
            found[str(inner)] = path.read_bytes()
    return found


def run(box: Box, seconds: float) -> tuple[int, str]:
    """Start the case's process; returns its exit code and what it said on stderr."""

    if box.warm:
        return fork(box, seconds)

    def limit() -> None:
        for what, to in box.limits.items():
            resource.setrlimit(what, (to, to))

    try:
        done = subprocess.run(
            box.command(), env=box.env, cwd=box.cwd or box.folder, stdin=subprocess.DEVNULL, capture_output=True,
            preexec_fn=limit, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, "it does not end"
    return done.returncode, done.stderr.decode(errors="backslashreplace")


def warm_up() -> None:
    """Import what all commands import, so that `fork` need not."""
    for module in ("cli.convert", "cli.quality", "cli.show", "lifting.lifter", "pipeline.lift", "ops.fused.cpu.kernels",
                   "show.overlay", "show.viewer", "demo.run", "paper.compare", "quality.report"):  # fmt: skip
        importlib.import_module(f"posemamba.{module}")


def fork(box: Box, seconds: float) -> tuple[int, str]:
    """Do as `run` in a copy of this process, in a tenth of the time; for what does not concern the start."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(math.ceil(seconds))
                os.chdir(box.cwd or box.folder)
                os.environ.clear()
                os.environ.update(box.env)
                with open(os.devnull, "r+b") as nowhere:
                    for number, file in ((0, nowhere), (1, nowhere), (2, said)):
                        os.dup2(file.fileno(), number)
                for what, to in box.limits.items():
                    resource.setrlimit(what, (to, to))
                from posemamba.cli import main as command

                code = command(box.arguments())
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read().decode(errors="backslashreplace")


def judge(box: Box, code: int, said: str, before: dict[str, bytes], after: dict[str, bytes]) -> tuple[str, str]:
    """Return the outcome of a case and why it is FAILED."""
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    if "Traceback" in said or "Exception ignored" in said:
        return "FAILED", "a traceback"
    kept = "".join(re.findall(r"\(kept: .+\)$", errors[0]) if errors else [])  # found joints, which the next call uses
    if any("unfinished" in name and str(box.folder / name) not in kept for name in after):
        return "FAILED", "temporary files stay"
    if box.name == "doctor" and code == 1:  # it has found the problem
        return "refused", ""
    if code == 0 and not errors:
        if box.name in WRITING and not any(after[name] != before.get(name) for name in after):
            return "FAILED", "exit code 0, and no results"
        return "ok", ""
    if code != 2 and not (box.limits.get(resource.RLIMIT_AS) and before == after):
        return "FAILED", f"exit code {code}"
    if code != 2:
        return "ended", ""
    if len(errors) != 1 and "2>" not in box.shell:
        return "FAILED", f"{len(errors)} lines of errors"
    printing = "> /dev/full" in box.shell or ">&-" in box.shell
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    changed = [name for name in changed if str(box.folder / name) not in kept]
    if changed and not printing:
        return "FAILED", f"refused, but {', '.join(sorted(changed))} changed"
    return "refused", ""


def alone() -> None:
    """Start this script again in a namespace of mounts of its own, so that a mount cannot outlive it."""
    if os.geteuid() or sys.platform != "linux":
        raise SystemExit("error: run it as root on Linux, in a container")
    if os.environ.get("SURROUNDINGS") != "alone":
        os.environ["SURROUNDINGS"] = "alone"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def main() -> int:
    """Print the table; 1 if a cell is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", help="a video with a person in it")
    parser.add_argument("--only", default="", help="a regular expression: surroundings whose names it is found in")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="columns of the table, with commas")
    parser.add_argument("--seconds", type=float, default=180, help="longest time of a process")
    parser.add_argument("--say", action="store_true", help="print what is said in each refused cell")
    options = parser.parse_args()
    alone()
    columns = [name for name in options.commands.split(",") if name != "video" or options.video]
    bad = count = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="surroundings-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cache = folder / "numba"
        os.environ["NUMBA_CACHE_DIR"] = str(cache)
        inputs = make_inputs(folder, options.video)
        cache.chmod(0o777)
        warm_up()
        print(f"{'':36}" + "".join(f"{column:>9}" for column in columns), flush=True)
        for row in SURROUNDINGS:
            if not re.search(options.only, row.name):
                continue
            print(f"{row.name:36}", end="", flush=True)
            notes = []
            for column in columns:
                if column not in row.commands:
                    print(f"{'-':>9}", end="", flush=True)
                    continue
                with box_for(column, inputs, folder / "case", cache) as box:
                    box.started = not row.name.startswith(("input", "output"))
                    row.change(box)
                    before = snapshot(box.folder)
                    code, said = run(box, options.seconds)
                    outcome, why = judge(box, code, said, before, snapshot(box.folder))
                if outcome not in row.expected.split():
                    outcome, why = "FAILED", why or f"expected {row.expected}, found {outcome}"
                count, bad = count + 1, bad + (outcome == "FAILED")
                print(f"{outcome:>9}", end="", flush=True)
                if why or (options.say and outcome == "refused"):
                    last = "".join(f"      {line[:400]}\n" for line in said.splitlines()[-12:])
                    notes.append(f"    {column}: {why}\n{last}")
            print("\n" + "".join(notes), end="", flush=True)
    print(f"{count} cases, {bad} failed, {time.monotonic() - begin:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
