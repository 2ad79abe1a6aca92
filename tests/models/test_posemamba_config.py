"""What a configuration refuses."""

from __future__ import annotations

import pytest

from posemamba.models.posemamba_config import PoseMambaConfig


def test_config_refuses_nonsense() -> None:
    for wrong in ({"wdth": 3}, {"scan_order": "zigzag"}, {"joints": 5}, {"drop_path": 1.5}):
        with pytest.raises(ValueError):
            PoseMambaConfig.model_validate(wrong)
