"""``posemamba quality``: results found, measured and judged."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from posemamba.cli.options import argument, option
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.quality import Quality

FORMAT = "posemamba-quality-1"


def find_results(path: Path) -> list[Path]:
    """Return the files to judge: of a folder each person's poses.npz, or the motion.npz that earlier versions wrote.

    Raises:
        PoseMambaError: nothing there.
    """
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file or folder; expected a result of 'posemamba lift'")
    if not path.is_dir():
        return [path]
    files = []
    for poses in sorted([*path.glob("poses.npz"), *path.glob("poses_*.npz")], key=lambda p: (len(p.name), p.name)):
        motion = poses.with_name(poses.name.replace("poses", "motion", 1))
        files.append(motion if motion.exists() else poses)
    if not files:
        raise PoseMambaError(f"{path}: holds no poses.npz; expected a folder that 'posemamba lift -o' has written")
    return files


def read_result(path: Path) -> Quality:
    """Measure one file.

    Raises:
        PoseMambaError: it is not a result of ``posemamba lift``.
    """
    from posemamba.io.motion.npz import load_poses_npz
    from posemamba.quality import measure_quality

    poses = load_poses_npz(path)
    try:
        return measure_quality(poses)
    except PoseMambaError as error:
        raise PoseMambaError(f"{path}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """Options of ``posemamba quality``."""

    results: Annotated[list[Path], argument("Folders of posemamba lift, or a poses.npz.", metavar="RESULT...")]
    json_file: Annotated[Path | None, option("A file for all that was found.", "--json")] = None
    picture: Annotated[Path | None, option("A timeline for each person: png, svg or pdf.")] = None


def quality(options: QualityOptions) -> int:
    """Judge whether results can be trusted: find faults such as bones that change length (docs/quality.md)."""
    results, json_file, picture = options.results, options.json_file, options.picture
    if picture is not None:
        from posemamba.utils.plotting import check_plot_file

        check_plot_file(picture)  # before the work
    found, failed = [], []
    for path in results:
        try:
            found += [(file, read_result(file)) for file in find_results(path)]
        except PoseMambaError as error:
            if len(results) == 1:
                raise
            print("error:", error, file=sys.stderr, flush=True)
            failed.append(path)
    if not found:
        raise PoseMambaError(f"none of the {len(results)} results can be judged: {', '.join(map(str, failed[:20]))}")
    from posemamba.quality.report import as_json, report
    from posemamba.utils.files import atomic_path

    text = "\n".join(f"{file}\n{report(one)}" for file, one in found)
    if json_file is not None:
        content = {"format": FORMAT, "people": [{"file": file.name, **as_json(one)} for file, one in found]}
        try:
            with atomic_path(json_file) as temporary:
                temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise PoseMambaError(f"{json_file}: cannot write there ({error.strerror or error})") from error
        text += f"\n  {json_file}"
    if picture is not None:
        from posemamba.quality.figure import draw

        draw(picture, [one for _, one in found])
        text += f"\n  {picture}"
    print(text)
    if failed:
        done = len(results) - len(failed)
        print(
            f"{done} of {len(results)} results are judged, {len(failed)} failed: {', '.join(map(str, failed[:20]))}",
            file=sys.stderr,
        )
    return 1 if failed else 0
