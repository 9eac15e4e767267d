"""One look at a program: over a real socket, against a probe that is made from the specification."""

import select

import pytest
from fake_probe import NOW, event, hello, serve, static, tick

from monitor.errors import ConnectError, UsageError
from monitor.plain import snapshot
from monitor.plain.snapshot import as_tree, receive_tasks, sort_order, validate
from monitor.plain.task_options import TaskOptions, ask
from monitor.transport.address import Address
from monitor.transport.connection import connect


@pytest.fixture
def look_at(tmp_path, probe_at):
    def take(behave=None, **wanted):
        path = tmp_path / "s"
        probe_at(path, behave) if behave else probe_at(path)
        connection = connect(Address(path=str(path)))
        ask(connection, TaskOptions(**wanted))
        return receive_tasks(connection, TaskOptions(**wanted))

    return take


def names(seen):
    return [task.name for task in seen.tasks]


def test_everything_that_is_asked_for(look_at):
    seen = look_at()
    assert names(seen) == ["main", "worker-1", "worker-2"]
    assert seen.store.left == 0
    assert set(seen.store.details) == {1, 2, 3}
    assert seen.store.tasks[1].wait_kind == "lock"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"sort": "name"}, ["main", "worker-1", "worker-2"]),
        ({"sort": "-name"}, ["worker-2", "worker-1", "main"]),
        ({"sort": "-busy"}, ["worker-2", "worker-1", "main"]),
        ({"sort": "age"}, ["worker-2", "main", "worker-1"]),
        ({"filter": "name:worker-*", "sort": "id"}, ["worker-1", "worker-2"]),
        ({"filter": "waiting_on:lock"}, ["main"]),
        ({"limit": 1}, ["main"]),
        ({"limit": 0}, []),
        ({"filter": "nothing"}, []),
    ],
)
def test_order_filter_and_limit(look_at, wanted, expected):
    assert names(look_at(**wanted)) == expected


def test_ends_are_whole_before_they_are_printed(look_at):
    def behave(peer):
        peer.send(hello())
        peer.read()
        peer.send(static())
        for number in range(1, 6):  # five ends after each of the first four ticks, until it asks for details
            if select.select([peer.socket], [], [], 0.1)[0]:
                break
            peer.send(tick(NOW + number * 100_000, events_left=max(20 - 5 * number, 0)))
            for end in range(5 * number - 4, 5 * number + 1) if number < 5 else ():
                facts = {"coro": "work", "outcome": "done", "age": 1, "busy": 1, "steps": 1}
                peer.send(event(end, "task_ended", task=100 + end, name=f"end-{end}", **facts))
        serve(peer)

    seen = look_at(behave, ended=True)
    assert [task.name for task in seen.ended] == [f"end-{number}" for number in range(20, 0, -1)]


def test_details_are_asked_only_of_what_is_printed(look_at):
    asked = []

    def behave(peer):
        peer.send(hello())
        original = peer.read

        def read():
            frame = original()
            asked.append(frame.get("ids"))
            return frame

        peer.read = read
        serve(peer)

    look_at(behave, limit=1)
    assert [ids for ids in asked if ids] == [[1]]


def test_many_tasks_come_in_pieces_and_are_asked_for_in_pieces(look_at):
    total = 5_000
    requests = []

    def behave(peer):
        peer.send(hello())
        peer.read()
        peer.send(static(tasks=[]))
        for start in range(1, total + 1, 1000):
            ids = range(start, start + 1000)
            peer.send(static(tasks=[[n, f"t{n}", 2, 1, NOW, None, 0, 1, 0] for n in ids]))
            peer.send(tick(NOW + start, tasks=[[n, 2, 1, n, 0, n] for n in ids], left=total - start - 999))
        while True:
            request = peer.read()
            requests.append(request["ids"])
            details = [{"id": n, "await_stack": [1]} for n in request["ids"][: request.get("limit", 200)]]
            peer.send({"type": "reply", "id": request["id"], "ok": True, "more": True, "details": details[:1500]})
            peer.send(tick(NOW + 10_000))
            peer.send({"type": "reply", "id": request["id"], "ok": True, "details": details[1500:]})

    seen = look_at(behave)
    assert len(seen.tasks) == total
    assert len(seen.store.details) == total
    assert [len(ids) for ids in requests] == [2000, 2000, 1000]
    assert seen.tasks[0].id == total


def test_the_first_ten_thousand_are_looked_at(look_at, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_DETAILED", 2)
    seen = look_at(sort="id")
    assert names(seen) == ["main", "worker-1", "worker-2"]
    assert set(seen.store.details) == {1, 2}


def test_a_filter_of_waits_looks_at_all(look_at, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_DETAILED", 0)
    assert names(look_at(filter="waiting_on:lock")) == ["main"]


def test_a_probe_that_has_no_details(look_at):
    def behave(peer):
        peer.send(hello(), static(), tick())
        peer.read()
        request = peer.read()
        peer.send({"type": "reply", "id": request["id"], "ok": False, "error": "the loop is stuck"})
        peer.read_until_closed()

    seen = look_at(behave)
    assert names(seen) == ["main", "worker-1", "worker-2"]
    assert [notice.text for notice in seen.store.notices] == ["no await stacks: the loop is stuck"]


def test_a_probe_that_falls_silent(look_at, monkeypatch):
    monkeypatch.setattr(snapshot, "PATIENCE", 0.2)

    def behave(peer):
        peer.send(hello(), static(), tick(left=5))
        peer.read_until_closed()

    with pytest.raises(ConnectError, match="sends nothing"):
        look_at(behave)


def test_a_probe_that_does_not_reply(look_at, monkeypatch):
    monkeypatch.setattr(snapshot, "PATIENCE", 0.2)

    def behave(peer):
        peer.send(hello(), static(), tick())
        peer.read_until_closed()

    with pytest.raises(ConnectError, match="does not reply"):
        look_at(behave)


def test_a_program_that_ends_meanwhile(look_at):
    def behave(peer):
        peer.send(hello(), static(), tick(left=5))

    with pytest.raises(ConnectError, match="closed the connection"):
        look_at(behave)


def test_ended_tasks(look_at):
    def behave(peer):
        peer.send(hello())
        facts = {"coro": "job", "age": 2_000_000, "busy": 100, "steps": 2, "max_step": 60, "site": 2, "parent": 1}
        boom = {"type": "ValueError", "message": "boom", "traceback": [2]}
        serve(
            peer,
            events=[
                event(1, "task_ended", task=8, name="a", outcome="done", exception=None, **facts),
                event(2, "task_ended", task=9, name="b", outcome="failed", exception=boom, **facts),
            ],
        )

    seen = look_at(behave, ended=True)
    assert [(task.name, task.outcome) for task in seen.ended] == [("b", "failed"), ("a", "done")]
    wanted = TaskOptions(ended=True, filter="state:failed")
    assert [task.name for task in snapshot.choose_ended(seen.store, wanted)] == ["b"]
    wanted = TaskOptions(ended=True, sort="name", limit=1)
    assert [task.name for task in snapshot.choose_ended(seen.store, wanted)] == ["a"]
    wanted = TaskOptions(ended=True, filter="age>1.5 steps=2 job")
    assert len(snapshot.choose_ended(seen.store, wanted)) == 2


def test_a_ring_of_parents_is_printed_once(look_at):
    seen = look_at()
    main, worker, _ = sorted(seen.tasks, key=lambda task: task.id)
    main.parent, worker.parent = worker.id, main.id
    flat, _ = as_tree([main, worker])
    assert flat == [main, worker]


def test_orders_that_mean_nothing():
    for key in ("", "-", "size", "name,busy"):
        with pytest.raises(UsageError, match="cannot sort by"):
            sort_order(key)
    with pytest.raises(UsageError, match="no such column"):
        validate(TaskOptions(filter="size>1"))
