"""The JSON of `tasks`: every key is there, seconds are floats, and what is not known is null."""

import io
import json

import fake_probe
import msgspec
import pytest
from fake_probe import DETAILS, NOW, event, hello, static, tick

from monitor.plain import objects
from monitor.plain.objects import dump, snapshot
from monitor.protocol import frames
from monitor.store.store import Store

TASK_KEYS = [
    "id",
    "name",
    "coro",
    "label",
    "state",
    "loop",
    "age",
    "busy",
    "scheduled",
    "idle",
    "steps",
    "max_step",
    "parent",
    "awaited_by",
    "creation_site",
    "origin",
    "await_stack",
    "at",
    "waiting_on",
    "exception",
    "born_before_attach",
]


def apply(store, *told):
    for frame in told:
        store.apply(frames.decode(msgspec.json.encode(frame)))
    return store


@pytest.fixture
def store():
    replied = {"type": "reply", "id": 1, "ok": True, "details": DETAILS}
    return apply(Store(), hello(), static(), tick(), tick(NOW + 500_000), replied)


@pytest.fixture
def tasks(store):
    made = json.loads(dump(snapshot(store, store.tasks.values())))["tasks"]
    return {task["name"]: task for task in made}


def test_every_key_is_there_whatever_is_known(tasks, store):
    failed = event(1, "task_ended", task=9, name="job", coro="job", outcome="failed", age=None, busy=None, steps=None)
    apply(store, failed)
    ended = objects.ended_object(next(reversed(store.ended)))
    bare = objects.task_object(apply(Store(), hello(), static()).tasks[3], Store())
    for task in [*tasks.values(), ended, bare]:
        assert list(task) == [*TASK_KEYS, "counted_since", "cancelled_by"]


def test_a_task_that_was_counted_from_its_birth(tasks):
    assert tasks["main"] == {
        "id": 1,
        "name": "main",
        "coro": "main",
        "label": None,
        "state": "waiting",
        "loop": 1,
        "age": 8.5,
        "busy": 1.5,
        "scheduled": 0.00025,
        "idle": 6.99975,
        "steps": 5,
        "max_step": 0.9,
        "parent": None,
        "awaited_by": [],
        "creation_site": {"file": "/srv/app.py", "line": 10, "function": "main"},
        "origin": None,
        "await_stack": [
            {"file": "/srv/app.py", "line": 10, "function": "main"},
            {"file": "/usr/lib/python3.11/asyncio/locks.py", "line": 115, "function": "acquire"},
        ],
        "at": None,
        "waiting_on": {"kind": "lock", "repr": "Lock(locked)", "holder": 2},
        "exception": None,
        "born_before_attach": False,
        "counted_since": None,
        "cancelled_by": None,
    }


def test_figures_that_are_lower_bounds(tasks):
    task = tasks["worker-1"]
    assert (task["busy"], task["steps"], task["max_step"]) == (0.00004, 3, 0.00002)
    assert (task["scheduled"], task["idle"]) == (None, None)
    assert task["counted_since"] == (NOW - 1_000_000) / 1e6
    assert (task["parent"], task["awaited_by"]) == (1, [1])
    assert [site["line"] for site in task["origin"]] == [42, 10]
    assert task["waiting_on"] is None


def test_nothing_is_known_of_a_task_that_has_not_stepped_since_it_is_counted(tasks):
    task = tasks["worker-2"]
    for key in ("age", "busy", "scheduled", "idle", "steps", "max_step", "creation_site", "origin"):
        assert task[key] is None, key
    assert task["born_before_attach"] is True
    assert task["waiting_on"] == {"kind": "sleep", "repr": "5 s", "wakes_at": (NOW + 5_000_000) / 1e6}


def test_details_that_nobody_asked_for_are_null():
    store = apply(Store(), hello(), static(), tick())
    task = objects.task_object(store.tasks[1], store)
    for key in ("awaited_by", "origin", "await_stack", "at", "waiting_on"):
        assert task[key] is None


def test_seconds_are_floats_and_counts_are_not(tasks):
    for task in tasks.values():
        for key in ("age", "busy", "scheduled", "idle", "max_step"):
            assert task[key] is None or type(task[key]) is float
        assert task["steps"] is None or type(task["steps"]) is int


def test_session_loops_and_process(store):
    made = snapshot(store, [])
    assert list(made) == ["session", "loops", "process", "tasks"]
    session = made["session"]
    assert (session["id"], session["pid"], session["name"]) == (fake_probe.SESSION, 4242, "api")
    assert (session["started"], session["now"]) == ((NOW - 10_000_000) / 1e6, (NOW + 500_000) / 1e6)
    assert session["capabilities"] == ["cancel", "detach"]
    assert made["loops"] == [
        {
            "id": 1,
            "kind": "asyncio",
            "thread": 7,
            "name": "MainThread",
            "lag": 0.0012,
            "utilization": 0.5,
            "ready": 0,
            "timers": 3,
            "steps": 100,
            "steps_per_s": 0.0,
            "running": 2,
            "blocked": 0.0,
            "blocked_at_least": False,
            "blocked_at": None,
        }
    ]
    assert made["process"]["rss"] == 1 << 20
    assert (made["process"]["dropped"], made["process"]["dropped_at"]) == (0, None)


def test_a_loop_of_which_nothing_came_yet():
    store = apply(Store(), hello(), static())
    loop = objects.loop_object(store.loops[1])
    for key in ("lag", "utilization", "ready", "timers", "steps", "steps_per_s", "running", "blocked"):
        assert loop[key] is None


def test_history_is_in_seconds_shares_and_bytes():
    rows = {"cpu": [500], "rss": [1], "fds": [-1], "gc_time": [1500], "gc_longest": [900], "births": [3]}
    history = {"type": "history", "loop": 0, "step": 1_000_000, "from": NOW, "columns": rows}
    (made,) = objects.history_objects(apply(Store(), hello(), static(), tick(), history))
    assert (made["loop"], made["step"], made["from"]) == (None, 1.0, NOW / 1e6)
    expected = {"cpu": [0.5], "rss": [1024], "fds": [None], "gc_time": [0.0015], "gc_longest": [0.0009], "births": [3]}
    assert made["columns"] == expected


def test_without_a_session():
    assert snapshot(Store(), [])["session"] is None


def test_text_stays_as_it_is():
    assert dump({"name": "[/x] 名前 \x1b"}) == '{"name": "[/x] 名前 \\u001b"}'


def test_what_could_steer_a_terminal_is_escaped():
    hostile = {"name": "\x1b[2J\x9b2J\u202egnp.exe\ud800\x7f"}
    text = dump(hostile)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == hostile


def test_a_terminal_without_letters(monkeypatch):
    monkeypatch.setattr(objects.sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert dump({"name": "名"}) == '{"name": "\\u540d"}'
