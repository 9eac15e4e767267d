"""Labels tasks of taskiq by name, which `Receiver.callback` reads from the message in its first step."""

from __future__ import annotations

import re
from typing import Any

from .held import LATER, held, of_function, texts

NAME = "taskiq"
_NAME = re.compile(rb'"task_name"\s*:\s*"([^"\\]{1,200})"')


def matches(coro: Any) -> bool:
    """Whether tasks of its code run tasks of taskiq."""
    return of_function(coro, "Receiver.callback", "taskiq")


def source(coro: Any) -> Any:
    """The parsed message, or before that the name in the JSON that most brokers send."""
    message = held(coro, "TaskiqMessage", "taskiq.")
    if message is not None:
        return message
    for text in texts(coro):
        found = _NAME.search(text)
        if found:
            return found[1].decode("utf-8", "replace")
    return LATER


def read(message: Any) -> str | None:
    """The name of the task."""
    if message is LATER:
        return None
    return message if isinstance(message, str) else str(message.task_name)
