"""Errors that the user can fix."""

from __future__ import annotations

import pickle

from posemamba.utils.errors import PoseMambaError


def test_a_message_stays_one_line_whatever_a_file_puts_into_it() -> None:
    error = PoseMambaError("k.npz: holds 'key\r\npoints\x1b[31m',  'b'; expected 'keypoints'")
    assert str(error) == "k.npz: holds 'key points [31m',  'b'; expected 'keypoints'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
