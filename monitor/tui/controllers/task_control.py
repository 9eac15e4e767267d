"""Requests to the probe. What changes the program is done only after a confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol.frames import Reply
from monitor.store.task_names import title_of
from monitor.tui.dialogs.confirm import ConfirmScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.tui.base.dashboard import Dashboard


class TaskControl:
    """Sends requests to the probe and dispatches the replies."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self._asked: dict[int, Callable[[Reply], None]] = {}

    def take(self, reply: Reply) -> None:
        """Passes a reply to the callback of its request."""
        answer = self._asked.pop(reply.id, None)
        if answer is not None:
            answer(reply)

    def ask(self, op: str, answer: Callable[[Reply], None], **arguments: object) -> bool:
        """Sends a request; `answer` gets the last piece of the reply. False without a connection."""
        number = self._app.source.request(op, **arguments)
        if number:
            self._asked[number] = answer
        return bool(number)

    def cut_off(self) -> None:
        """Fails all pending requests after a reconnect."""
        asked, self._asked = self._asked, {}
        for number, answer in asked.items():
            answer(Reply(id=number, ok=False, error="the connection broke"))

    def cancel(self, task_id: int) -> None:
        """Cancels a task after a confirmation."""
        app = self._app
        session, task = app.store.session, app.store.tasks.get(task_id)
        if task is None:
            app.say(f"#{task_id} has already ended")
        elif app.store.read_only:
            app.say("read-only: cancelling a task needs a probe in the program", bad=True)
        elif app.replaying:
            app.say("not available in a recording")
        elif session is None or "cancel" not in session.capabilities:
            app.say("this probe does not allow control", bad=True)
        else:
            name = title_of(task)[:200]
            question = ConfirmScreen(
                f"Cancel {name}?",
                "It gets a CancelledError where it waits. What it does with it is up to the task.",
                "cancel the task",
            )
            app.push_screen(question, lambda yes: self._ask(task_id, name) if yes else None)

    def _ask(self, task_id: int, name: str) -> None:
        def answer(reply: Reply) -> None:
            self._app.say(f"cancelled {name}" if reply.ok else f"not cancelled: {reply.error}", bad=not reply.ok)

        if not self.ask("cancel", answer, task=task_id):
            self._app.say("not connected to the program", bad=True)


def ask_to_stop() -> ConfirmScreen:
    """Makes the confirmation for quitting while the program is running."""
    return ConfirmScreen(
        "The program is still running. Stop it and quit?",
        "Sends SIGINT, like Ctrl+C; press q again to force.",
        "stop the program and quit",
    )
