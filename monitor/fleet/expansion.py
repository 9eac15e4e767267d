"""Expands TARGETs to processes, on this machine and on the other side of `--via`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from monitor.attach.processes import Processes
from monitor.errors import LooptopError
from monitor.remote import place

if TYPE_CHECKING:
    from monitor.remote.answers import Answer
    from monitor.remote.link import Link

MOST_STATUSES = 1000
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two tries to reach the other side again."""


class Expansion:
    """The processes that each TARGET means now. One thread asks repeatedly; only the first time may take a while."""

    def __init__(self) -> None:
        self._here = Processes()
        self._there: dict[str, _There] = {}

    def of(self, target: str) -> list[str]:
        """The processes of a TARGET, each as a TARGET of its own, oldest first.

        If the other side cannot be reached, the TARGET stands for itself: connecting to it reports why.
        """
        there = place.split(target)
        if there is None:
            return self._here.of(target)
        known = self._there.get(target)
        if known is None:
            known = self._there[target] = _There(*there)
            known.follow()
        else:
            known.follow_again()
        return [place.join(one, there[1]) for one in known.members]

    def status_of(self, target: str) -> int | None:
        """The exit status of a process on the other side that has gone, negative for a signal; None if unknown."""
        there = place.split(target)
        if there is None:
            return None
        found = (known.statuses.get(there[0]) for known in self._there.values() if known.command == there[1])
        return next((status for status in found if status is not None), None)


class _There:
    """The processes of a TARGET on the other side of a command, which reports every change."""

    def __init__(self, target: str, command: str) -> None:
        self.target = target
        self.command = command
        self.members = [target]
        self.statuses: dict[str, int] = {}  # of the last ones that have gone
        self._link: Link | None = None
        self._due = 0.0
        self._pause = FIRST_PAUSE
        self._trying = threading.Lock()

    def follow(self) -> None:
        """Start following; if that fails, try again after a pause."""
        from monitor.remote.links import link_to

        try:
            link = link_to(self.command)
            link.follow("members", self._take, target=self.target)
        except LooptopError:
            self._due = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._link = link
            self._pause = FIRST_PAUSE

    def follow_again(self) -> None:
        """Start again in the background if the connection has ended."""
        if (self._link is not None and self._link.alive) or time.monotonic() < self._due:
            return
        if self._trying.acquire(blocking=False):
            threading.Thread(target=self._try, name="looptop-via-again", daemon=True).start()

    def _try(self) -> None:
        try:
            self.follow()
        finally:
            self._trying.release()

    def _take(self, answer: Answer) -> None:
        from monitor.remote.answers import members_of

        self.statuses = dict([*self.statuses.items(), *answer.statuses.items()][-MOST_STATUSES:])
        self.members = members_of(self.target, answer)


def members_now(target: str) -> list[str]:
    """The processes of a TARGET, asked once. Raises LooptopError if it is on another machine that cannot be reached."""
    there = place.split(target)
    if there is None:
        return Processes().of(target)
    from monitor.remote.links import link_to

    found, command = there
    return [place.join(one, command) for one in link_to(command).members(found)]
