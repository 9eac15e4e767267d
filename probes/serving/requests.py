"""The requests of one viewer: done at once, answered when the reply is ready, or in pieces."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..base.validation import BadRequestError, integer, require_control, text
from ..inspection import detail, threads
from . import task_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..hooks.records import TaskRecord
    from .host import Host
    from .session import Session

DETAILS = 25
"""Tasks in one piece of a reply with their details."""
MOST_PENDING = 16


class Requests:
    """Handles the requests of a viewer, and keeps the replies that are still to be sent.

    It does not keep the session: a cycle of the two would outlive the probe until the next garbage collection.
    """

    def __init__(self, probe: Host) -> None:
        self._probe = probe
        self._tables = probe.sampler.tables
        self._replies: deque[Iterator[list[dict[str, Any]]]] = deque()

    @property
    def pending(self) -> bool:
        """Whether a reply is still to be sent."""
        return bool(self._replies)

    def take(self, session: Session, frame: dict[str, Any]) -> list[dict[str, Any]]:
        """Handles a request; returns the reply if it is to be sent at once. Raises BadRequestError."""
        number = frame.get("id")
        if type(number) is not int:
            raise BadRequestError("a request needs an id, a number")
        if len(self._replies) >= MOST_PENDING:
            return [_refusal(number, "too many requests at once")]
        operation = frame.get("op")
        try:
            if operation == "tasks":
                if not session.watching:
                    raise BadRequestError("nothing is counted yet: send a watch frame first")
                self._replies.append(self._tasks(session, number, frame))
                return []
            if operation == "threads":
                self.answer({"type": "reply", "id": number, "ok": True, "threads": self.threads(session)})
                return []
            if operation in self._probe.memory.operations:
                self._probe.memory.request(session, number, frame, self.answer)
                return []
            if operation == "cancel":
                self._probe.tasks.cancel(frame.get("task"))
            elif operation == "arm":
                require_control(self._probe.settings)
                self._probe.stay()
            elif operation == "detach":
                require_control(self._probe.settings)
                self._probe.stop_soon("a viewer asked for it")
            elif operation != "ping":
                return [_refusal(number, f"no such op: {str(operation)[:40]}")]
        except BadRequestError as error:
            return [_refusal(number, str(error))]
        return [{"type": "reply", "id": number, "ok": True, "now": self._probe.clock.unix()}]

    def answer(self, reply: dict[str, Any]) -> None:
        """Queues a reply that was not ready at the time of the request."""
        self._replies.append(iter([[reply]]))

    def next_piece(self) -> list[dict[str, Any]] | None:
        """The frames of the next piece of the first pending reply; None once that reply is complete."""
        try:
            return next(self._replies[0])
        except StopIteration:
            self._replies.popleft()
            return None

    def threads(
        self, session: Session, seen: threads.Seen | None = None, most: int = threads.MOST_THREADS
    ) -> dict[str, Any]:
        """The threads of the program, without those of the probe. `seen`, `most`: see `threads.read`."""
        gil, share = self._probe.watchdog.gil, self._probe.gil_share
        own = gil.own | share.thread.own | self._probe.flames.on_loop.thread.own
        held = share.look() if session.watch.gil else None
        found = threads.read(own, gil.asleep_in, self._tables, held, seen, most)
        return {"time": self._probe.clock.unix(), **found}

    def _tasks(self, session: Session, number: int, frame: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        sort, limit = task_query.order(frame)
        offset = integer(frame, "offset", 0, 0, 10**9)
        named = text(frame, "filter")
        wanted = frame.get("ids")
        if wanted is not None and (not isinstance(wanted, list) or not all(type(n) is int for n in wanted)):
            raise BadRequestError("ids: a list of ids of tasks")
        return self._task_pieces(session, number, sort, limit, offset, named, wanted)

    def _task_pieces(
        self,
        session: Session,
        number: int,
        sort: str,
        limit: int,
        offset: int,
        named: str | None,
        wanted: list[int] | None,
    ) -> Iterator[list[dict[str, Any]]]:
        total = 0

        def matching() -> Iterator[TaskRecord]:
            nonlocal total
            found = map(self._probe.tasks.record_of, dict.fromkeys(wanted or ()))
            for record in filter(None, found) if wanted is not None else task_query.counted():
                if named is None or task_query.named(record, named):
                    total += 1
                    yield record

        chosen = task_query.first(matching(), sort, offset + limit)[offset:]
        for start in range(0, len(chosen), DETAILS):
            piece = chosen[start : start + DETAILS]
            found = [detail.detail_of(record, self._tables) for record in piece]
            reply = {"type": "reply", "id": number, "ok": True, "more": True}
            reply["details"] = [facts for facts in found if facts is not None]
            yield [session.rows([record for record in piece if not session.knows(record)]), reply]
        yield [{"type": "reply", "id": number, "ok": True, "details": [], "total": total}]


def _refusal(number: int, error: str) -> dict[str, Any]:
    return {"type": "reply", "id": number, "ok": False, "error": error}
