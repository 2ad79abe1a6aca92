"""Events of ``posemamba lift`` for a program that listens (`posemamba.utils.progress`), such as the application."""

from __future__ import annotations

from typing import Any

import numpy as np

from posemamba.cli.lift.results import Results, has_sheet
from posemamba.poses.keypoints import side_names
from posemamba.utils.progress import announce


def announce_people(results: Results) -> None:
    """Tell who was found, and where the contact sheet shows each of them."""
    from posemamba.show.contact_sheet import MOST_PEOPLE, place_of_row

    sides, people = side_names(results.people), []
    for row, person in enumerate(results.people):
        seen, times = np.flatnonzero(person.seen), person.frame_times()
        told: dict[str, Any] = {"person": person.person, "frames": len(seen), "of": len(person)}
        if len(seen):
            told |= {"begin": float(times[seen[0]]), "end": float(times[seen[-1]])}
        told["sides"] = list(sides.get(person.person, ()))
        if has_sheet(results) and row < MOST_PEOPLE:
            told["place"] = place_of_row(row)
        people.append(told)
    announce("people", people=people)


def announce_results(results: Results) -> None:
    """Tell what was lifted, and how far it can be trusted."""
    first, people = results.poses[0], []
    for poses in results.poses:
        word, sentence = ("", "") if poses.trust is None else (poses.trust.word, poses.trust.sentence)
        people.append({"person": poses.person, "word": word, "sentence": sentence})
    times = first.keypoints.frame_times()
    announce("result", frames=len(first), seconds=float(times[-1] - times[0] + 1 / first.fps), people=people)
