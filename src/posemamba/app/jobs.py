"""Jobs of the application: one uploaded file each, with its options, its state and its results, in a folder.

``FOLDER/jobs/ID/`` holds ``job.json``, the state, written whole or not at all; ``input/``, the file as it was
uploaded; ``results/``, what `posemamba lift` writes; and ``log.txt``, what it printed. ``FOLDER/uploads/`` holds files
that are on their way. Names of folders are made here; of a client's name only the file's own name is kept, and cleaned.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from posemamba.io.inputs import KEYPOINT_SUFFIXES, VIDEO_SUFFIXES, Kind
from posemamba.io.pictures import SUFFIXES as PICTURE_SUFFIXES
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path, make_folder
from posemamba.utils.yaml_files import is_small

State = Literal["new", "waiting", "running", "choose", "done", "failed", "cancelled"]
"""new: uploaded, not started; waiting: for its turn; choose: for the choice of a person."""
ID = re.compile(r"[0-9a-f]{16}")
SUFFIXES: dict[str, Kind] = {
    **{suffix: "video" for suffix in VIDEO_SUFFIXES},
    **{suffix: "keypoints" for suffix in KEYPOINT_SUFFIXES},
    **{suffix: "pictures" for suffix in PICTURE_SUFFIXES},
}
"""The files that can be uploaded, and how they are read."""
_UPLOAD, _DELETED = re.compile(r"[0-9a-f]{16}\.part"), re.compile(r"\.deleted-[0-9a-f]{16}")
_LONGEST_NAME = 120  # bytes
_MOST_VALUES = 10**6
"""Values of a job's state: thousands of people in a clip have some ten each."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass
class Job:
    """A job.

    Attributes:
        id: names its folder; random.
        name: the file's name.
        kind: how the file is read.
        size: of the file in bytes.
        created, queued, begun, ended: Unix times; 0: not yet.
        state: see `State`.
        options: of the form (`posemamba.app.options`), by their names.
        people: who was found, as `posemamba lift` reports; empty: not known, or one person.
        person: who was chosen of them; "": nobody yet.
        video: the name of the video that belongs to a keypoint file; "": none.
        stage, done, total: what runs now, and how many frames of it are done; total 0: not known.
        frames: of the clip; 0: not known yet.
        seconds: that each stage took.
        message: why it failed, in a line.
        notes: warnings, in lines.
        result: what was lifted: frames, seconds, and each person's verdict.
    """

    id: str
    name: str
    kind: Kind
    size: int = 0
    created: float = 0.0
    queued: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    state: State = "new"
    options: dict[str, Any] = field(default_factory=dict)
    people: list[dict[str, Any]] = field(default_factory=list)
    person: str = ""
    video: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    message: str = ""
    notes: list[str] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def is_at_work(self) -> bool:
        """True while it runs, or waits for its turn."""
        return self.state in ("waiting", "running")

    @classmethod
    def parse(cls, text: str) -> Job:
        """Parse a ``job.json``.

        Raises:
            ValueError, TypeError, PoseMambaError: it is none.
        """
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("not an object")
        if not is_small(given, most=_MOST_VALUES):
            raise ValueError("nested too deeply, or too large")  # it is read, but could not be copied
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()  # as the page is told of it
        job = cls(**{one.name: given[one.name] for one in fields(cls) if one.name in given})
        for one in fields(cls):
            default = one.default_factory() if callable(one.default_factory) else one.default
            value = getattr(job, one.name)
            wanted = type(default) if isinstance(default, (str, int, float, dict, list)) else str
            number = wanted in (int, float)
            if not (_is_number(value) if number else isinstance(value, wanted)):
                raise ValueError(f"'{one.name}' is {value!r}")
        if not ID.fullmatch(job.id) or job.state not in get_args(State) or job.kind not in get_args(Kind):
            raise ValueError("unknown id, state or kind")
        if any(text and clean_name(text) != text for text in (job.name, job.video)):
            raise ValueError("names that are none")
        if not all(isinstance(value, (str, bool)) for value in job.options.values()):
            raise ValueError("options that are none")
        if not all(isinstance(person, dict) for person in job.people):
            raise ValueError("people who are none")
        if not all(map(_is_number, job.seconds.values())) or not all(isinstance(note, str) for note in job.notes):
            raise ValueError("times or notes that are none")
        return job


def _is_number(value: object) -> bool:
    """Tell whether a value is a number that can be reckoned with."""
    return isinstance(value, (int, float)) and abs(value) < 1e15


class Store:
    """The jobs in a folder.

    Args:
        folder: made if it is not there, for the user alone.

    Raises:
        PoseMambaError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private_folder(folder)
        for part in (folder / "jobs", folder / "uploads"):
            make_private_folder(part)
        self._jobs: dict[str, Job] = {}
        for name, left in (("uploads", _UPLOAD), ("jobs", _DELETED)):  # of a server that was killed
            for path in (folder / name).iterdir():
                if left.fullmatch(path.name):
                    _remove(path)
        for path in (folder / "jobs").iterdir():
            try:
                job = Job.parse((path / "job.json").read_text(encoding="utf-8"))
            except (OSError, ValueError, TypeError, RecursionError, PoseMambaError):
                continue  # not written by this program, or damaged: it stays for the user to look at
            if job.id == path.name:
                self._jobs[job.id] = job

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs, the newest first."""
        return iter(sorted(self._jobs.values(), key=lambda job: job.created, reverse=True))

    def get(self, id: str) -> Job | None:
        return self._jobs.get(id)

    def path(self, job: Job) -> Path:
        """Return the folder of a job."""
        return self.folder / "jobs" / job.id

    def input(self, job: Job) -> Path:
        return self.path(job) / "input" / job.name

    def video(self, job: Job) -> Path | None:
        """Return the video that belongs to a keypoint file, if there is one."""
        return self.path(job) / "video" / job.video if job.video else None

    def results(self, job: Job) -> Path:
        """Return the folder of a job's results."""
        return self.path(job) / "results"

    def files(self, job: Job) -> dict[str, Path]:
        """Return the files of a job's results by their names."""
        try:
            found = sorted(self.results(job).iterdir())
        except OSError:
            return {}
        return {path.name: path for path in found if path.is_file() and not path.name.startswith(".")}

    def without_places(self, job: Job, text: str) -> str:
        """Return a text with files named as their owner knows them, without the places of folders here."""
        for part in (self.path(job) / "input", self.path(job) / "video", self.results(job)):
            text = text.replace(f"{part}{os.sep}", "").replace(str(part), "the results")
        return text

    def upload_path(self) -> Path:
        """Return a new path for a file that is on its way."""
        return self.folder / "uploads" / f"{secrets.token_hex(8)}.part"

    def add(self, name: str, uploaded: Path) -> Job:
        """Make a job of an uploaded file, which is moved into its folder.

        Args:
            name: a clean one, see `clean_name`.
            uploaded: the file.
        """
        job = Job(secrets.token_hex(8), name, SUFFIXES[Path(name).suffix.lower()], created=time.time())
        job.size = uploaded.stat().st_size
        return self._take(job, uploaded, self.input(job))

    def add_results(self, name: str, results: Path, result: dict[str, Any] | None = None) -> Job:
        """Make a job that is done of a folder of results, which is moved into its folder; such as of a recording.

        Args:
            name: what it is called in the list.
            results: the folder, on the same disk.
            result: see `Job`.
        """
        job = Job(secrets.token_hex(8), clean_name(name), "video", created=time.time(), state="done")
        job.ended, job.result = time.time(), result or {}
        return self._take(job, results, self.results(job))

    def _take(self, job: Job, given: Path, place: Path) -> Job:
        """Move a file or folder to its place in a new job's folder, and list the job; whole or not at all."""
        try:
            place.parent.mkdir(parents=True)
            given.replace(place)
            self.save(job)
        except BaseException:
            shutil.rmtree(self.path(job), ignore_errors=True)
            raise
        self._jobs[job.id] = job
        return job

    def add_video(self, job: Job, name: str, uploaded: Path) -> None:
        """Give a keypoint file the video that belongs to it."""
        folder = self.path(job) / "video"
        _remove(folder)
        folder.mkdir()
        uploaded.replace(folder / name)
        job.video = name
        self.save(job)

    def save(self, job: Job) -> None:
        """Write a job's state, whole or not at all."""
        with atomic_path(self.path(job) / "job.json") as path:
            path.write_text(json.dumps(asdict(job), indent=1), encoding="utf-8")

    def clear(self, job: Job) -> None:
        """Remove a job's results, which are of other people than the next ones."""
        _remove(self.results(job))

    def remove(self, job: Job) -> None:
        """Remove a job with all its files. It vanishes at once, also where the disk is slow."""
        gone = self.path(job).with_name(f".deleted-{job.id}")
        self._jobs.pop(job.id, None)
        self.path(job).replace(gone)
        _remove(gone)


def clean_name(name: str) -> str:
    """Return a file's name as it can be written on every system; a name that is a path is refused.

    Raises:
        PoseMambaError: it is a path, holds control characters, or nothing is left of it.
    """
    name = unicodedata.normalize("NFC", name)
    if re.search(r"[/\\\x00-\x1f\x7f]", name) or name.strip() in ("", ".", ".."):
        raise PoseMambaError("the name of the file is a path or empty, expected a plain name such as walk.mp4")
    name = re.sub(r'[<>:"|?*\ud800-\udfff]', "_", name).strip().strip(".").strip()
    stem, suffix = os.path.splitext(name)
    stem = stem.encode()[: _LONGEST_NAME - len(suffix.encode())].decode("utf-8", "ignore").strip()
    if not stem or len(suffix.encode()) > 16:
        raise PoseMambaError("the name of the file is empty, or ends strangely; expected a name such as walk.mp4")
    return f"_{stem}{suffix}" if _RESERVED.fullmatch(name) else f"{stem}{suffix}"


def make_private_folder(folder: Path) -> None:
    """Make a folder for the user alone, unless it is there already.

    Raises:
        PoseMambaError: it cannot be made or written to.
    """
    if not folder.exists():
        make_folder(folder)
        folder.chmod(0o700)
    make_folder(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
