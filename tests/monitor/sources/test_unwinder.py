"""Tasks read from outside: what is made of what an interpreter tells, without one."""

import json
import os
import socket
import sys
import types
from collections import namedtuple

import pytest

from monitor.attach import unwinder
from monitor.protocol import frames
from monitor.store.store import Store

Group = namedtuple("Group", "thread_id awaited_by")
Info = namedtuple("Info", "task_id task_name coroutine_stack awaited_by")
Coro = namedtuple("Coro", "call_stack task_name")
Frame = namedtuple("Frame", "filename lineno funcname")
Located = namedtuple("Located", "filename location funcname")
Place = namedtuple("Place", "lineno")
SLEEP = Frame("/usr/lib/python3.14/asyncio/tasks.py", 700, "sleep")


def info(address, name, *stack, awaited_by=()):
    return Info(address, name, [Coro(list(stack), address)], [Coro([], above) for above in awaited_by])


def app(line, function="work"):
    return Frame("/srv/app.py", line, function)


@pytest.fixture
def seen(monkeypatch):
    """What the interpreter tells: a list of groups, and the addresses of the tasks that run."""
    told = types.SimpleNamespace(groups=[], running=[], threads=[])

    class Unwinder:
        def __init__(self, pid, **_):
            assert pid == os.getpid()

        def get_all_awaited_by(self):
            if isinstance(told.groups, Exception):
                raise told.groups
            return told.groups

        def get_async_stack_trace(self):
            return [Group(1, [info(address, "")]) for address in told.running]

        def get_stack_trace(self):
            return told.threads

    module = types.ModuleType("_remote_debugging")
    module.RemoteUnwinder = Unwinder
    monkeypatch.setitem(sys.modules, "_remote_debugging", module)
    return told


@pytest.fixture
def session(seen):
    """A process that is read, and what a viewer gets of it."""
    ours, theirs = socket.socketpair()
    process = unwinder.Process(os.getpid())
    hello = {"pid": 1, "started": 0, "name": "", "program": "app.py", "hooks": "read-only: as asked"}
    facts = {"protocol": 1, "kind": "asyncio", "hello": {**hello, "capabilities": ["read-only"]}}
    one = unwinder.Session(theirs, process, facts)
    one.store = Store()

    def look():
        process.look()
        one.tick()
        ours.settimeout(0.2)
        data = b""
        while not data.endswith(b"\n"):
            data += ours.recv(1 << 20)
        for line in data.splitlines():
            one.store.apply(frames.decode(line))
        return one.store

    one.look, one.process = look, process
    one.hello()
    yield one
    ours.close()
    theirs.close()


def states(store):
    return {task.name: (task.id, task.state_name, task.parent) for task in store.tasks.values()}


def test_who_awaits_whom_and_what_runs(session, seen):
    seen.groups = [
        Group(7, [info(100, "main", app(1, "main")), info(200, "[/x]", app(2), awaited_by=[100])]),
        Group(8, [info(300, "other", Located("/srv/app.py", Place(9), "other"), awaited_by=[999])]),
        Group(0, []),
    ]
    seen.running = [200]
    store = session.look()
    assert states(store) == {"main": (1, "waiting", 0), "[/x]": (2, "running", 1), "other": (3, "waiting", 0)}
    main, other = store.tasks[1], store.tasks[3]
    assert (main.coro, main.wait_kind, main.wait_text) == ("main", "task", "[/x]")
    assert (other.loop, other.wait_text) == (2, "in other app.py:9")
    assert store.session.read_only
    assert {loop.thread for loop in store.loops.values()} == {7, 8}


def test_only_what_changed_is_told_again(session, seen):
    seen.groups = [Group(7, [info(100, "a", app(1)), info(200, "b", app(1))])]
    versions = {task.id: task.version for task in session.look().tasks.values()}
    seen.groups = [Group(7, [info(100, "a", app(1)), info(200, "renamed", app(1))])]
    store = session.look()
    assert store.tasks[1].version == versions[1]
    assert store.tasks[2].name == "renamed"


def test_a_task_has_ended_when_two_looks_do_not_see_it(session, seen):
    here = [info(100, "a", app(1)), info(200, "b", app(1))]
    seen.groups = [Group(7, here)]
    session.look()
    seen.groups = [Group(7, here[:1])]
    assert set(session.look().tasks) == {1, 2}
    seen.groups = [Group(7, here)]
    assert set(session.look().tasks) == {1, 2}
    seen.groups = [Group(7, here[:1])]
    session.look()
    store = session.look()
    assert set(store.tasks) == {1}
    assert [(end.id, end.name, end.outcome, end.busy) for end in store.ended] == [(2, "b", "ended", None)]


def test_another_coroutine_at_the_same_address_is_another_task(session, seen):
    seen.groups = [Group(7, [info(100, "a", app(1, "first"))])]
    session.look()
    seen.groups = [Group(7, [info(100, "a", app(1, "second"))])]
    store = session.look()
    assert [(task.id, task.coro) for task in store.tasks.values()] == [(2, "second")]
    assert [end.id for end in store.ended] == [1]


@pytest.mark.parametrize(
    ("stack", "state", "kind"),
    [
        ((SLEEP, app(5)), "waiting", "sleep"),
        ((SLEEP._replace(funcname="__sleep0"), SLEEP, app(5)), "scheduled", None),
        ((Frame("/x/lib/python3.14/asyncio/locks.py", 1, "Lock.acquire"), app(5)), "waiting", "lock"),
        ((Frame("/x/lib/python3.14/asyncio/queues.py", 1, "Queue.get"), app(5)), "waiting", "queue"),
        (
            (Frame("/x/lib/python3.14/asyncio/selector_events.py", 1, "BaseSelectorEventLoop.sock_recv"), app(5)),
            "waiting",
            "socket",
        ),
        ((app(5, "sleep"),), "waiting", "future"),
        ((), "waiting", "future"),
    ],
)
def test_what_it_waits_on_by_where_it_is(session, seen, stack, state, kind):
    seen.groups = [Group(7, [info(100, "a", *stack)])]
    task = session.look().tasks[1]
    assert (task.state_name, task.wait_kind) == (state, kind)
    if kind is not None and stack:
        assert task.wait_text.endswith("app.py:5")


def test_many_tasks_come_in_pieces_that_fit(session, seen):
    deep = [app(line, f"function_{line}") for line in range(unwinder.DEEPEST + 50)]
    seen.groups = [Group(7, [info(number, "n" * 5000, *deep) for number in range(1, 1001)])]
    sizes = []
    send = session._socket.sendall
    session._socket = types.SimpleNamespace(sendall=lambda data: sizes.append(len(data)))
    session.process.look()
    session.tick()
    assert max(sizes) < 1 << 20
    assert len(sizes) > 4
    session._socket = types.SimpleNamespace(sendall=send)
    assert len(session.process.tasks[1].frames) == unwinder.DEEPEST


def test_requests(session, seen):
    seen.groups = [Group(7, [info(100, "main", app(1, "main")), info(200, "b", SLEEP, app(2), awaited_by=[100])])]
    session.process.look()
    said = []
    session._send = said.append
    session.take({"type": "request", "id": 1, "op": "tasks", "ids": [2]})
    reply = frames.decode(json.dumps(said[-1]).encode())
    assert (reply.ok, reply.more, reply.total) == (True, False, 1)
    assert (reply.details[0].awaited_by, len(reply.details[0].await_stack)) == ([1], 2)
    session.take({"type": "request", "id": 2, "op": "cancel", "task": 1})
    assert (said[-1]["ok"], said[-1]["error"]) == (
        False,
        "read-only: nothing is in the program that could do that (cancel)",
    )
    session.take({"type": "request", "id": 3, "op": "ping"})
    assert said[-1]["ok"]


def test_loops_that_cannot_be_seen_are_counted(session, seen, monkeypatch):
    Thread = namedtuple("Thread", "thread_id frame_info")
    runs = Frame("/x/lib/python3.14/asyncio/base_events.py", 1, "BaseEventLoop.run_forever")
    seen.threads = [Thread(os.getpid(), [runs]), Thread(5, [SLEEP, runs]), Thread(6, [app(1)])]
    monkeypatch.setattr(unwinder.sys, "version_info", (3, 14, 8))
    assert session.process.hidden_loops() == 1
    monkeypatch.setattr(unwinder.sys, "version_info", (3, 15, 0))
    assert session.process.hidden_loops() == 0


def test_a_first_look_is_tried_again_and_then_given_up(session, seen, monkeypatch):
    monkeypatch.setattr(unwinder.time, "sleep", lambda _: None)
    seen.groups = RuntimeError("it moved")
    with pytest.raises(RuntimeError):
        unwinder.first(session.process)
