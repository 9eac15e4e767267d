"""One task has one name, whoever prints it."""

from __future__ import annotations

from collections import deque

import pytest

from monitor.store.cancel_text import words as cancelled
from monitor.store.columns import SLOW
from monitor.store.model import CancelledBy, SlowCallback
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store
from monitor.store.task_names import called, title, who


@pytest.mark.parametrize(
    ("name", "coro", "shown"),
    [
        ("job-7", "work", "job-7"),
        ("Task-7", "work", "work()"),
        ("Task-7", "Server.handle", "Server.handle()"),
        ("Task-7", "RequestHandler._handle_request", "_handle_request()"),
        ("Task-7", "main.<locals>.work", "work()"),
        ("Task-7", "", "Task-7"),
        ("Task-7", "?", "Task-7"),
        ("", "work", "work()"),
        ("", "", "–"),
        ("Task-7b", "work", "Task-7b"),
    ],
)
def test_a_name_that_asyncio_gave_says_nothing(name: str, coro: str, shown: str) -> None:
    assert called(name, coro) == shown


@pytest.mark.parametrize(
    ("name", "coro", "label", "shown"),
    [
        ("Task-7", "Cycle.run_asgi", "GET /items/{id}", "#12 GET /items/{id}"),
        ("Task-7", "Cycle.run_asgi", None, "#12 Cycle.run_asgi()"),
        ("worker-3", "work", None, "#12 worker-3"),
        ("worker-3", "work", "import", "#12 worker-3 import"),
        ("Task-7", "", None, "#12"),
        (None, "", None, "#12"),
    ],
)
def test_a_task_is_its_id_and_what_it_is_called(name: str | None, coro: str, label: str | None, shown: str) -> None:
    assert title(12, name, coro, label) == shown
    assert title(None, name, coro, label) == (shown.removeprefix("#12").strip() or name or "")


@pytest.mark.parametrize(
    ("task", "name", "what", "label", "shown"),
    [
        (3, "Task-7", "work()", None, "#3 work()"),
        (3, "Task-7", "work()", "GET /", "#3 GET /"),
        (3, "Task-7", "?", "GET /", "#3 GET /"),
        (3, "Task-7", "?", None, "#3"),
        (3, "job-7", "work()", None, "#3 job-7"),
        (3, None, "work()", None, "#3 work()"),
        (None, None, "Protocol.data_received()", None, "Protocol.data_received()"),
        (None, None, None, None, ""),
    ],
)
def test_of_whom_an_event_tells(
    task: int | None, name: str | None, what: str | None, label: str | None, shown: str
) -> None:
    assert who(task, name, what, label) == shown


def test_the_blocker_of_a_line_has_its_label_where_its_coroutine_is_not_known() -> None:
    (column,) = (column for column in SLOW if column.key == "task")
    for what, shown in (("serve", "serve()"), ("?", "GET /cpu")):
        slow = SlowCallback(1, 1.0, 0.4, 1, 3, "Task-7", what, (), -1, 0, label="GET /cpu")
        assert column.text(BlockingLine(None, callbacks=deque([slow])), Store()) == shown


def test_a_canceller_is_named_in_the_same_way() -> None:
    assert cancelled(CancelledBy("call", 7, "window-3", None, asked=True)) == "by #7 window-3"
    assert cancelled(CancelledBy("call", 7, "Task-99", None, asked=True)) == "by #7"
