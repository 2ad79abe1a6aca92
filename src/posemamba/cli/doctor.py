"""``posemamba doctor``: a check of the installation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Options of ``posemamba doctor``: none."""


def doctor(options: DoctorOptions) -> int:
    """Check what is installed, which scan runs here and why, and whether it works (exit code 1 if not)."""
    from posemamba.cli.examination import examine

    problems, lacking = 0, []
    for finding in examine():
        mark = "PROBLEM: " if finding.problem else ""
        print(f"{finding.about:18} {mark}{finding.text}", flush=True)
        problems += finding.problem
        lacking += [finding.lacks] if finding.lacks else []
    if problems:
        print(f"{problems} problem{'s' if problems > 1 else ''}.")
    elif not lacking:
        print("All is well.")
    for text in lacking:
        print(f"{'Also' if problems else 'Keypoint files can be lifted, but'} {text}.")
    return 1 if problems else 0
