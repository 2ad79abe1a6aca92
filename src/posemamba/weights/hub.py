"""Weights on the Hugging Face Hub, by the package huggingface_hub; asked for as ``hf://owner/name`` alone.

No other name leads to the network. Downloads are kept in huggingface_hub's own cache.
"""

from __future__ import annotations

import os
import re
import textwrap
from functools import lru_cache
from pathlib import Path
from typing import Any

from posemamba.utils.errors import PoseMambaError, require

SCHEME = "hf://"
_PART = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"(?P<id>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_SCHEME = re.compile(r"hf:[/\\]{1,2}")  # a path of it has a single slash
_FILES = ["config.json", "README.md", "model.safetensors", "model-*-of-*.safetensors"]


def repository_of(source: str | Path) -> str | None:
    """Return ``owner/name`` or ``owner/name@revision`` of what is named by the scheme; None for other names.

    Raises:
        PoseMambaError: the scheme with something else after it.
    """
    text = str(source)
    start = _SCHEME.match(text)
    if start is None:
        return None
    name = text[start.end() :].replace("\\", "/")
    if _REPOSITORY.fullmatch(name) is None:
        raise PoseMambaError(f"{text}: expected {SCHEME}owner/name, or {SCHEME}owner/name@revision")
    return name


@lru_cache(maxsize=16)
def download(repository: str) -> Path:
    """Download a repository's weights, config and model card, once in a process; return their folder.

    Args:
        repository: by `repository_of`.

    Raises:
        PoseMambaError: huggingface_hub is not installed, there is no such repository, or the Hub cannot be reached and
            the files are not in the cache.
    """
    hub = _library()
    match = _REPOSITORY.fullmatch(repository)
    assert match is not None
    try:
        folder = hub.snapshot_download(match["id"], revision=match["revision"], allow_patterns=_FILES)
    except Exception as error:  # of HTTP, of its cache, of names: of many kinds
        raise PoseMambaError(f"{SCHEME}{repository}: cannot be downloaded: {_reason(error)}") from error
    return Path(folder)


def upload(
    folder: Path, repository: str, *, private: bool | None, revision: str | None, message: str, token: str | None
) -> str:
    """Upload a folder's files as one commit; a README.md that the repository has stays. Return ``hf://owner/name``.

    Raises:
        PoseMambaError: huggingface_hub is not installed, or the Hub refuses or cannot be reached.
    """
    name = repository_of(repository) or repository
    match = _REPOSITORY.fullmatch(name)
    if match is None or match["revision"]:
        raise PoseMambaError(f"{repository}: expected owner/name of a repository on the Hugging Face Hub")
    api: Any = _library().HfApi(token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        ignored = ["README.md"] if api.file_exists(name, "README.md", revision=revision) else None
        api.upload_folder(
            repo_id=name, folder_path=folder, revision=revision, commit_message=message, ignore_patterns=ignored
        )
    except Exception as error:
        raise PoseMambaError(f"{SCHEME}{name}: cannot be uploaded: {_reason(error)}") from error
    download.cache_clear()  # what was downloaded before is no longer what is there
    return f"{SCHEME}{name}" + (f"@{revision}" if revision else "")


def _library() -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    return require("huggingface_hub", "hub")


def _reason(error: Exception) -> str:
    """Return an error's kind and the first words of its message, which may have several lines of hints."""
    text = textwrap.shorten(str(error), 200, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
