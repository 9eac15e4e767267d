"""Runs a request on all processes of a set at once; one that hangs does not hold up the others."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from monitor.errors import ConnectError, LooptopError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.fleet.members import Member

Result = TypeVar("Result")

PATIENCE = 3.0
"""Seconds to wait for the others once one process has answered and none is busy any more."""
LONGEST = 60.0
"""Seconds to wait for the first answer."""
POLL = 0.05


class _Query(Generic[Result]):
    """The request to one process, in a thread of its own."""

    def __init__(self, member: Member, ask: Callable[[Member], Result]) -> None:
        self.member = member
        self.result: Result | None = None
        self.error: Exception | None = None
        self._ask = ask
        self.thread = threading.Thread(target=self._run, name=f"looptop-{member.worker}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = self._ask(self.member)
        except Exception as error:  # noqa: BLE001 - the caller raises or reports it
            self.error = error


def each(
    members: Sequence[Member],
    ask: Callable[[Member], Result],
    takes: float = 0.0,
    busy: Callable[[Member], bool] = lambda member: False,
) -> dict[int, Result | LooptopError]:
    """Return the answer of each member by slot, or the error.

    `takes`: minimum seconds that an answer takes. A member that is `busy` (being injected) is waited for.
    """
    asked = [_Query(member, ask) for member in members]
    wait = _Wait(asked, takes, busy)
    while wait.goes_on():
        time.sleep(POLL)
    found: dict[int, Result | LooptopError] = {}
    for one in asked:
        if one.result is not None:
            found[one.member.worker] = one.result
        elif one.error is None or isinstance(one.error, LooptopError):
            found[one.member.worker] = one.error or ConnectError(
                f"{one.member.target} does not answer", "one call of the program holds it up"
            )
        else:
            raise one.error
    return found


class _Wait(Generic[Result]):
    """How long to wait for those that have not answered yet."""

    def __init__(self, asked: list[_Query[Result]], takes: float, busy: Callable[[Member], bool]) -> None:
        self._asked = asked
        self._takes = takes
        self._busy = busy
        self._began = self._since = time.monotonic()  # `_since`: when the first answered, or one was busy last
        self._answered = False

    def goes_on(self) -> bool:
        """Whether there is something left to wait for."""
        pending = [one for one in self._asked if one.thread.is_alive()]
        if not pending:
            return False
        now = time.monotonic()
        if any(self._busy(one.member) for one in pending):
            self._since = now
            return True
        if not self._answered and any(one.result is not None for one in self._asked):
            self._answered = True
            self._since = now
        if self._answered:
            return now - self._since < PATIENCE + self._takes
        return now - self._began - self._takes < LONGEST
