"""What rows say, and what is typed into the filter of Slow, Ended and Findings: words, or a word of one column."""

import time

import msgspec
import pytest
from fake_probe import event, hello, static, tick

from monitor.protocol import frames
from monitor.store.columns import TASKS
from monitor.store.model import Failure, Unhandled
from monitor.store.store import Store
from monitor.tui.rows.ended import EndedRows
from monitor.tui.rows.tasks import TaskRows


def test_words_and_words_of_a_column():
    store = Store()
    ends = [event(n, "task_ended", task=n, name=name, coro="job", outcome=how) for n, name, how in (
        (1, "failed-over", "done"), (2, "b", "failed"), (3, "c", "cancelled")
    )]  # fmt: skip
    for frame in (hello(), static(), tick(), *ends):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = EndedRows(store)

    def found(typed: str) -> list[str]:
        rows.words = tuple(typed.split())
        rows.arrange(store)
        return sorted(row.name for row in rows.rows)

    assert found("failed") == ["b", "failed-over"]
    assert found("outcome:failed") == ["b"]
    assert found("coro:job outcome:cancelled") == ["c"]
    assert found("outcome:") == found("nothing:failed") == []


def test_a_row_that_stays_for_a_task_that_has_ended_does_not_say_that_it_runs():
    store = Store()
    running = tick(tasks=[[1, 0, 3, 113_000, 0, 113_000]])
    for frame in (hello(), static(tasks=[[1, "job", 0, 1, 0, None, 0, 0, 0]]), running):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = TaskRows(store)
    rows.arrange(store)

    def said() -> dict[str, str]:
        return {column.key: text for column, (text, _) in zip(TASKS, rows.cells(0, TASKS), strict=True)}

    assert said()["state"] == "▶ running"
    store.apply(frames.decode(msgspec.json.encode(tick(tasks=[], gone=[1]))))
    told = said()
    assert (told["state"], told["busy"]) == ("■ ended", "113ms")
    assert {told[key] for key in ("age", "share", "idle", "waiting_on")} == {""}


def test_a_row_that_stays_for_a_task_that_has_ended_has_the_figures_of_its_end():
    store = Store()
    running = tick(tasks=[[1, 0, 1, 193_000, 0, 193_000], [2, 0, 1, 193_000, 0, 193_000]])
    facts = [[number, "Task-7", 3, 1, 0, None, 0, 0, 0] for number in (1, 2)]
    for frame in (hello(), static(tasks=facts), running):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = TaskRows(store)
    rows.arrange(store)

    def said(number: int, *keys: str) -> list[str]:
        index = rows.index(number)
        assert index is not None
        told = {column.key: text for column, (text, _) in zip(TASKS, rows.cells(index, TASKS), strict=True)}
        return [told[key] for key in keys]

    last = tick(tasks=[[1, 3, 2, 401_000, 0, 400_000], [2, 9, 2, 401_000, 0, 400_000]])
    store.apply(frames.decode(msgspec.json.encode(last)))
    for number in (1, 2):  # the second one in a state of a newer probe; its end is one of too many for an event
        assert said(number, "state", "busy", "max_step", "steps", "age") == ["■ ended", "401ms", "400ms", "2", ""]
    figures = {"age": 433_000, "busy": 402_000, "steps": 3, "max_step": 399_000}
    end = event(1, "task_ended", task=1, name="Task-7", coro="worker", outcome="done", label="GET /cpu", **figures)
    store.apply(frames.decode(msgspec.json.encode(end)))
    told = said(1, "state", "busy", "max_step", "steps", "age", "label")
    assert told == ["■ ended", "402ms", "399ms", "3", "433ms", "GET /cpu"]
    store.apply(frames.decode(msgspec.json.encode(event(2, "task_ended", task=2, name="Task-8", coro="worker"))))
    assert said(2, "busy", "max_step", "steps", "age") == ["401ms", "400ms", "2", ""]  # what the end leaves unknown


def test_when_something_ended_is_told_by_the_clock_once_nothing_comes_any_more():
    store = Store()
    end = event(1, "task_ended", task=1, name="job", coro="job", outcome="failed")
    for frame in (hello(), static(), tick(), end):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = EndedRows(store)
    rows.arrange(store)
    (column,) = (column for column in rows.columns if column.key == "ended")
    assert rows.cells(0, [column])[0][0].endswith(" ago")
    store.stale = True
    assert rows.cells(0, [column])[0][0] == time.strftime("%H:%M:%S", time.localtime(end["at"] / 1e6))


def test_a_message_without_an_exception_stands_alone():
    store = Store()
    dropped = event(1, "unhandled", message="Task was destroyed but it is pending!", task=2, name="job")
    for frame in (hello(), static(), tick(), dropped):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = EndedRows(store)
    rows.arrange(store)
    (column,) = (column for column in rows.columns if column.key == "exception")
    assert rows.cells(0, [column])[0][0] == "Task was destroyed but it is pending!"


def test_tasks_that_ended_and_calls_of_the_exception_handler_share_a_table():
    store = Store()
    facts = [
        event(1, "task_ended", task=2, name="job", coro="work", outcome="failed"),
        event(2, "unhandled", message="never retrieved", task=2, name="job"),
        event(3, "unhandled", message="Exception in callback x()"),
    ]
    for frame in (hello(), static(), tick(), *facts):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = EndedRows(store)
    rows.arrange(store)
    assert {id(rows.entry(index)) for index in range(len(rows))} == set(map(id, [*store.ended, *store.unhandled]))
    for column in rows.columns:
        rows.sort_by(column, turn=False)
        rows.arrange(store)
        assert len({rows.key(index) for index in range(len(rows))}) == 3
        for index in range(len(rows)):
            entry = rows.entry(index)
            cells = dict(zip((c.key for c in rows.columns), rows.cells(index, rows.columns), strict=True))
            if isinstance(entry, Unhandled):
                assert cells["outcome"] == ("! unhandled", "bad")
                assert cells["coro"][0] == cells["exception"][0] == entry.message
                assert cells["id"][0] == ("2" if entry.task else "–")
            else:
                assert (cells["outcome"], cells["coro"][0], cells["id"][0]) == (("✗ failed", "bad"), "work", "2")


@pytest.mark.parametrize(
    ("kind", "message", "text"), [("KeyError", "", "KeyError"), ("", "lost", "lost"), ("A", "b", "A: b")]
)
def test_a_failure_in_words(kind, message, text):
    assert Failure(kind, message, ()).text == text
