"""The user's folders, also where nobody knows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posemamba.utils import installation
from posemamba.utils.errors import PoseMambaError


@pytest.mark.skipif(os.name == "nt", reason="~unknown is a name like others there")
def test_an_unknown_home_costs_caches_and_own_weights_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, "~nobody-of-this-name/x")
    monkeypatch.setenv("POSEMAMBA_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("POSEMAMBA_CACHE", raising=False)
    assert installation.known_cache_folders() == []
    assert installation.weights_folders() == [tmp_path]
    with pytest.raises(PoseMambaError, match="set HOME, or XDG_DATA_HOME to a folder"):
        installation.data_folder()
    monkeypatch.setenv("POSEMAMBA_CACHE", str(tmp_path / "cache"))
    assert installation.known_cache_folders() == [tmp_path / "cache"]
