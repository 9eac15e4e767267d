"""The table of programs that died with a black box, for `looptop postmortem` and `looptop ps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain.tables import Heading, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.attach.boxes import Box


def listing(boxes: Sequence[Box], width: int, colour: bool, searched: str = "") -> list[str]:
    """What `looptop postmortem` prints. `searched`: the folders, if they are known, to name them if there is none."""
    if not boxes:
        return [f"no program left a black box in {searched}" if searched else "no program left a black box"]
    return table(boxes, HEADINGS, width, colour)


def _when(box: Box) -> str:
    return "" if box.ago is None else f"{fmt.age(box.ago)} ago"


HEADINGS: tuple[Heading[Box], ...] = (
    Heading("PID", lambda box: str(box.heading.pid), right=True),
    Heading("Name", lambda box: f"@{box.heading.name}"),
    Heading("Ended", _when, right=True),
    Heading("Ran", lambda box: _lasted(box), priority=3, right=True),
    Heading("How", lambda box: box.how, priority=2),
    Heading("Size", lambda box: fmt.size(box.size), priority=4, right=True),
    Heading("File", lambda box: str(box.path), priority=3),
)


def _lasted(box: Box) -> str:
    began = box.heading.started or box.heading.opened
    return "" if box.ended is None else fmt.age(max(box.ended - began, 0.0))
