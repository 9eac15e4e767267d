"""The stream: what a viewer is sent and when, what it may say, and what it costs the program when it does not behave."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_counting import source
from waiting import wait_until
from watched import EndedError, Program, Viewer, environment, free_port, wait_for_socket

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20

IDLE = """
    async def waits():
        await gate.wait()

    async def main():
        global gate
        gate = asyncio.Event()
        keep = [asyncio.create_task(waits(), name=f"{kind} {n}") for kind in ("worker", "other") for n in range(5)]
        await told("ready")
        gate.set()
        await asyncio.gather(*keep)
        await told("over")

    run(main())
"""

CROWD = """
    async def waits():
        await gate.wait()

    async def busy():
        spin(0.25)  # longer than many a step is kept from a crowded machine's processor
        await gate.wait()

    async def main():
        global gate
        gate = asyncio.Event()
        number = int(sys.argv[1])
        keep = [asyncio.create_task(waits()) for n in range(number)]
        await asyncio.sleep(0)
        await told("ready")
        keep += [asyncio.create_task(busy(), name=f"busy {n}") for n in range(3)]
        await told("busy")
        for _ in range(int(sys.argv[2])):
            gate.set(); gate.clear()
            await asyncio.sleep(0.05)
            keep = [asyncio.create_task(waits()) for n in range(2000)]
        await told("churned")

    run(main())
"""


@pytest.fixture
def idle(tmp_path: Path) -> Any:
    with Program(source(IDLE), folder=tmp_path) as program:
        program.expect("ready")
        yield program


def test_hello_says_who_and_what(idle: Program) -> None:
    before = time.time() - 0.1
    with idle.connect() as viewer:
        hello = viewer.first
        assert (hello["type"], hello["protocol"], hello["pid"]) == ("hello", 1, idle.pid)
        assert hello["python"] == "{}.{}.{}".format(*sys.version_info)
        assert hello["schema"]["states"] == ["running", "scheduled", "waiting", "done", "cancelled", "failed"]
        assert {"cancel", "detach", "origins", "histograms"} <= set(hello["capabilities"])
        assert before <= hello["now"] / 1e6 <= time.time() + 0.1
        assert hello["started"] <= hello["opened"] <= hello["now"]
        described = json.loads(idle.socket_path.with_suffix(".json").read_text())
        assert described["session"] == hello["session"] and described["pid"] == idle.pid
        viewer.read_for(0.5)
        assert len(viewer.frames) == 1, "nothing is sent before the first watch"
    for path in (idle.directory, idle.socket_path, idle.socket_path.with_suffix(".json")):
        assert path.stat().st_mode & 0o077 == 0, f"{path} is for its owner only"


def test_200_000_tasks_come_first_screen_first(tmp_path: Path) -> None:
    with Program(source(CROWD), "200000", "0", folder=tmp_path, settings={"expect": 60}) as program:
        program.expect("ready", 60)
        program.say()
        program.expect("busy")
        began = time.monotonic()
        with program.connect() as viewer:
            viewer.watch(rate=4, first={"sort": "busy", "limit": 100})
            viewer.until(lambda: viewer.rows, "the first screen")
            first = time.monotonic() - began
            rows = next(frame["tasks"] for frame in viewer.frames if frame["type"] == "tick")
            assert len(rows) <= 600
            assert {f"busy {n}" for n in range(3)} <= {viewer.facts[row[0]]["name"] for row in rows[:20]}
            assert rows[0][3] >= rows[20][3] >= rows[90][3], "by what was asked for"
            assert viewer.left and viewer.left > 100_000, "the rest is still to come"
            viewer.until(lambda: viewer.left == 0, "the rest", 200)
            assert len(viewer.facts) == 200_004
            assert max(viewer.sizes) <= MIB
            told = [row[0] for frame in viewer.frames for row in frame.get("tasks", ()) if frame["type"] == "static"]
            assert len(told) == len(set(told)), "facts of a task come once"
            print(f"first screen of 200,000 tasks after {first:.2f} s, all after {time.monotonic() - began:.1f} s")


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def state_of(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


FAILS = """
    async def fails():
        raise KeyError("why it ended")

    async def main():
        await told("ready")
        async with asyncio.TaskGroup() as group:
            for number in range(int(sys.argv[1])):
                group.create_task(asyncio.sleep(60))
            group.create_task(fails(), name="culprit")

    run(main())
"""


@pytest.mark.parametrize("others", [2, 20_000])
def test_why_a_program_ends_is_told_before_it_has_ended(tmp_path: Path, others: int) -> None:
    with Program(source(FAILS), str(others), folder=tmp_path) as program:
        program.expect("ready")
        with program.connect() as viewer:
            viewer.watch(rate=0.1)
            viewer.ticks(1)
            program.say()
            viewer.until_end()
            failed = {event["name"]: event["exception"] for event in viewer.events if event.get("outcome") == "failed"}
            assert failed["culprit"]["message"] == "'why it ended'"


def test_a_viewer_that_never_reads_costs_little(tmp_path: Path) -> None:
    with Program(source(CROWD), "20000", "60", folder=tmp_path) as program:
        program.expect("ready")
        deaf = program.connect()
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.watch(rate=20)
        program.say()
        program.expect("busy")
        sizes: list[int] = []

        def at_rest() -> bool:
            """Whether it had the same size in 30 looks at which no thread of it ran, or wanted to."""
            if not any(state_of(thread) == "R" for thread in Path(f"/proc/{program.pid}/task").iterdir()):
                sizes.append(rss(program.pid))
            return len(sizes) >= 30 and sizes[-30:] == [sizes[-1]] * 30

        wait_until(at_rest, "its size stays the same")
        before = sizes[-1]
        program.say()
        program.expect("churned", 60)
        grown = rss(program.pid) - before
        print(f"120,000 births and ends beside a deaf viewer: {grown / MIB:.1f} MiB more")
        # One piece of output, and about 100 bytes for each of 20,000 tasks; the rest is the program's own heap.
        assert grown < 40 * MIB
        with program.viewer() as other:
            other.ticks(2)
            assert other.probe["viewers"] == 2
        deaf.close()


def test_a_viewer_that_stalls_is_dropped(tmp_path: Path) -> None:
    setup = "import probes, probes.serving.connection\nprobes.serving.connection.STALLED = 1.0\nprobes.install()\nrun = asyncio.run\n"
    with Program(source(CROWD, setup), "50000", "0", folder=tmp_path, boot=False) as program:
        program.expect("ready")
        deaf = program.connect()
        deaf.watch(rate=20)
        with program.viewer(rate=10, rows=False) as other:
            # It came after the other had its hello.
            other.until(lambda: other.probe.get("viewers") == 1, "the deaf one is gone")
        deaf.close()


def test_viewers_do_not_see_each_others_wishes(idle: Program) -> None:
    with idle.viewer(rate=20, filter="WORKER") as filtered, idle.viewer(rate=2) as slow:
        slow.ticks(2)
        filtered.ticks(5)
        assert sorted(filtered.names()) == [f"worker {n}" for n in range(5)]
        assert len(slow.facts) == 11
        begun = (filtered.ticked, slow.ticked)

        def both() -> bool:
            slow.pump(0.01)
            return filtered.ticked - begun[0] >= 25 and slow.ticked - begun[1] >= 3

        filtered.until(both, "ticks of both")
        slow.pump(0.0)
        for viewer, number, rate in zip((filtered, slow), begun, (20, 2), strict=True):
            made = ticks_at(viewer)[number:]
            assert len(made) - 1 <= rate * (made[-1] - made[0]) + 1, "at its own rate"
        filtered.watch(filter="other 1")
        filtered.until(lambda: "other 1" in filtered.names(), "the other filter")
        assert len(filtered.facts) == 6
        slow.watch(rate=0.1)
        slow.ask("ping")
        seen = len(ticks_at(slow))
        slow.read_for(1.6)
        made = ticks_at(slow)[seen:]
        assert all(after - before > 9 for before, after in pairwise(made)), "paused"


def ticks_at(viewer: Viewer) -> list[float]:
    """When the whole ticks were made, by the clock of the program."""
    return [frame["at"] / 1e6 for frame in viewer.frames if frame["type"] == "tick" and "loops" in frame]


def test_a_new_viewer_soon_knows_the_share_of_a_processor(idle: Program) -> None:
    with idle.viewer(rate=2) as viewer:
        viewer.ticks(5)
        ticks = [frame for frame in viewer.frames if frame["type"] == "tick" and "loops" in frame]
        having = [number for number, tick in enumerate(ticks) if "process" in tick]
        assert having[0] == 0 and having[1] <= 2, "a share takes two looks at the process"


def test_counting_goes_with_the_last_viewer(tmp_path: Path) -> None:
    body = """
        import probes
        from asyncio import events
        asyncios = events.Handle._run
        probe = probes.install()
        async def main():
            await told("ready")
            while True:
                await told(f"{events.Handle._run is not asyncios} {len([hook for hook in probe.registry.hooks if hook.name == 'run'])}")
        run(main())
    """
    with Program(source(body), folder=tmp_path, boot=False, env={"LOOPTOP_HISTORY": "off"}) as program:
        program.expect("ready")

        def hooked() -> str:
            program.say()
            return program.line()

        assert hooked() == "False 0"
        first, second = program.viewer(), program.viewer()
        first.ticks(1)
        second.ticks(1)
        assert hooked() == "True 1"
        first.close()
        second.ticks(2)
        assert hooked() == "True 1"
        second.close()
        wait_until(lambda: hooked() == "False 0", "counting to be off")
        with program.viewer() as third:
            third.ticks(1)
            assert hooked() == "True 1"


def test_nothing_of_a_viewer_outlives_it(tmp_path: Path) -> None:
    body = """
        import gc
        async def main():
            await told("ready")
            while True:
                gc.collect()
                found = [type(thing).__name__ for thing in gc.get_objects() if type(thing).__name__ in ("Viewer", "Session")]
                await told(f"{sorted(found)} {len(sys._looptop_probe.server.viewers)}")
        run(main())
    """
    with Program(source(body), folder=tmp_path, env={"LOOPTOP_BOX": "off"}) as program:
        program.expect("ready")

        def found() -> str:
            program.say()
            return program.line()

        viewer = program.viewer()
        viewer.ticks(1)
        assert found() == "['Session', 'Viewer'] 1"
        viewer.close()
        wait_until(lambda: found() == "[] 0", "all of it to have left")


def test_events_only_means_no_rows(idle: Program) -> None:
    with idle.viewer(rows=False) as viewer:
        viewer.ticks(3)
        assert not viewer.facts and not viewer.rows and viewer.loops
        viewer.watch(rows=True)
        viewer.until(lambda: len(viewer.facts) == 11, "rows after all")


def test_young_tasks_say_what_they_wait_on_with_their_first_rows(tmp_path: Path) -> None:
    body = """
        async def main():
            first = asyncio.create_task(asyncio.sleep(600))
            await told("ready")
            young = [asyncio.create_task(asyncio.sleep(600), name=f"young {n}") for n in range(3)]
            await told("over")

        run(main())
    """
    with Program(source(body), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.until(lambda: len(viewer.facts) == 2, "both")
            viewer.watch(window=sorted(viewer.facts))
            program.say()

            def told() -> list[str | None]:
                young = [number for number, facts in viewer.facts.items() if facts["name"].startswith("young")]
                return [viewer.waits.get(number, (None,))[0] for number in young]

            viewer.until(lambda: told() == ["sleep"] * 3, "what they wait on, though nobody asked for them")
        program.expect("over")
        program.say()
        assert program.end() == 0, program.stderr


def test_requests(idle: Program) -> None:
    with idle.viewer() as viewer:
        viewer.ticks(1)
        (pong,) = viewer.ask("ping")
        assert pong["ok"] and pong["now"] > 1.6e15
        replies = viewer.ask("tasks", filter="worker", sort="id", limit=3, offset=1)
        ids = [detail["id"] for reply in replies for detail in reply["details"]]
        assert replies[-1]["total"] == 5 and len(ids) == 3 and ids == sorted(ids, reverse=True)
        (refused,) = viewer.ask("cancel", task=10_000_000)
        assert not refused["ok"] and "no such task" in refused["error"]
        (refused,) = viewer.ask("frobnicate")
        assert not refused["ok"] and "frobnicate" in refused["error"]
        (done,) = viewer.ask("cancel", task=viewer.named("other 3")["id"])
        assert done["ok"]
        viewer.until(lambda: viewer.of_kind("task_ended"), "its end")
        assert viewer.of_kind("task_ended")[0]["name"] == "other 3"
        assert viewer.of_kind("task_ended")[0]["outcome"] == "cancelled"


def test_control_can_be_forbidden(tmp_path: Path) -> None:
    with Program(source(IDLE), folder=tmp_path, settings={"control": False}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            assert "cancel" not in viewer.first["capabilities"]
            (refused,) = viewer.ask("cancel", task=viewer.named("worker 1")["id"])
            assert not refused["ok"] and "control" in refused["error"]


def test_detach_takes_the_probe_out(idle: Program) -> None:
    with idle.viewer() as viewer:
        (reply,) = viewer.ask("detach")
        assert reply["ok"]
        viewer.until_end()
    wait_until(lambda: not list(idle.directory.iterdir()), "its files to be gone")
    idle.say()
    idle.expect("over")
    idle.say()
    assert idle.end() == 0 and idle.stderr == ""


def test_a_part_that_cannot_be_taken_out_leaves_none_of_the_others_in(tmp_path: Path) -> None:
    body = """
        import os
        from asyncio import base_events, events
        before = base_events.BaseEventLoop.create_task, events.Handle._run
        import probes
        probe = probes.install()

        async def main():
            await told("ready")
            probe.loops.unwatch = probe.memory.close = lambda: 1 / 0
            probe.stop()
            now = base_events.BaseEventLoop.create_task, events.Handle._run
            print(now == before, len(probe.server.viewers), os.path.exists(probe.endpoints.socket_path), hasattr(sys, "_looptop_probe"))
        run(main())
    """
    with Program(source(body), folder=tmp_path, boot=False) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            viewer.until_end()
        program.expect("True 0 False False")
        assert program.end() == 0
        assert [line for line in program.err if "ZeroDivisionError" not in line] == [] and len(program.err) == 2


def test_no_thread_to_be_had_means_no_probe_and_nothing_left(tmp_path: Path) -> None:
    body = """
        import _thread
        from asyncio import base_events
        before = base_events.BaseEventLoop.create_task

        def start_new_thread(*_):
            raise RuntimeError("can't start new thread")

        there, _thread.start_new_thread = _thread.start_new_thread, start_new_thread
        import probes
        print(probes.install(), hasattr(sys, "_looptop_probe"), base_events.BaseEventLoop.create_task is before)
        _thread.start_new_thread = there
        run(told("ready"))
    """
    with Program(source(body), folder=tmp_path, boot=False) as program:
        program.expect("None False True")
        program.expect("ready")
        assert not list(program.directory.glob(f"{program.pid}.*"))
        program.say()
        assert program.end() == 0
        assert program.err == ["looptop: no probe, the program goes on: RuntimeError: can't start new thread"]


def test_no_thread_to_be_had_for_the_watchdog_is_told_to_viewers(tmp_path: Path) -> None:
    body = """
        import probes, probes.sampling.counting
        probes.install()

        def start_new_thread(*_):
            raise RuntimeError("can't start new thread")

        probes.sampling.counting.start_new_thread = start_new_thread
        run(told("ready"))
    """
    with Program(source(body), folder=tmp_path, boot=False, env={"LOOPTOP_HISTORY": "off"}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            assert viewer.probe["off"] == ["watchdog: RuntimeError: can't start new thread"]
        assert program.err == []


def test_a_class_of_tasks_whose_names_cannot_be_had_is_watched_all_the_same(tmp_path: Path) -> None:
    body = """
        class Nameless(asyncio.Task):
            def get_name(self):
                raise LookupError("no name")

        class Numbered(asyncio.Task):
            def get_name(self):
                return 7

        async def waits():
            await asyncio.sleep(3600)

        async def main():
            await told("ready")
            loop = asyncio.get_running_loop()
            tasks = [kind(waits(), loop=loop) for kind in (Nameless, Numbered)]
            loop.set_task_factory(lambda loop, coro, **given: Nameless(coro, loop=loop))
            tasks += [asyncio.create_task(waits()), asyncio.create_task(asyncio.wait(tasks))]
            await told("made")
            loop.call_exception_handler({"message": "what it did", "task": tasks[0]})
            for task in tasks:
                task.cancel()
            await told("cancelled")

        run(main())
    """
    with Program(source(body), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(filter="waits") as filtered, program.viewer() as viewer:
            program.say()
            program.expect("made")
            viewer.until(lambda: len([facts for facts in viewer.facts.values() if facts["name"] == ""]) >= 3, "them")
            assert viewer.named("7")
            for session in (viewer, filtered):
                session.watch(rate=20, window=list(session.facts))
                session.ticks(3)
                assert session.ask("tasks", filter="waits")[-1]["total"] == 3
            program.say()
            program.expect("cancelled")
            viewer.until(lambda: len(viewer.of_kind("task_ended")) >= 4 and viewer.of_kind("unhandled"), "their ends")
            assert viewer.probe["off"] == []
        assert "looptop" not in program.stderr  # asyncio itself fails at the repr of such a task


GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00\xff\xfe\x80" * 100 + b"\n",
    b"[1, 2]\n",
    b"null\n",
    b'{"type": "watch", "rate": NaN}\n',
    b'{"type": "watch", "rate": 1e400}\n',
    b"[" * 60_000 + b"\n",
    b'{"type": "request", "op": "ping"}\n',
    b'{"type": "request", "id": "x", "op": "ping"}\n',
    b'{"type": "watch", "window": [' + b"9" * 5000 + b"]}\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_gets_one_clear_line_and_the_end(idle: Program, garbage: bytes) -> None:
    with idle.viewer() as bystander, idle.connect() as viewer:
        viewer.raw(garbage)
        viewer.until_end()
        assert len(viewer.errors) == 1 and "\n" not in viewer.errors[0]["message"]
        bystander.ticks(2)
    idle.say()
    idle.expect("over")
    assert idle.stderr == ""


def test_lines_that_are_too_long_or_never_end(idle: Program) -> None:
    with idle.connect() as viewer:
        try:
            viewer.raw(b"x" * (MIB))
        except OSError:
            pass
        viewer.until_end()
        assert "65536" in viewer.errors[0]["message"]
    with idle.connect() as viewer:
        viewer.raw(b'{"type": "wat')
    with idle.viewer() as viewer:
        viewer.raw(b'{"type": "something newer", "x": 1}\n\n\n{"type":"request","id":7,"op":"ping"}\n')
        viewer.until(lambda: viewer.replies, "what is not known is ignored")


def test_a_flood_of_requests_without_reading_is_not_kept(idle: Program) -> None:
    with idle.connect() as viewer:
        before = rss(idle.pid)
        viewer.sock.setblocking(False)
        flood = b"".join(b'{"type":"request","id":%d,"op":"ping"}\n' % number for number in range(1000))
        sent, quiet = 0, 0
        while quiet < 50 and sent < 64 * MIB:
            try:
                sent += viewer.sock.send(flood)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.01)
        assert sent < 8 * MIB, "it is not listened to while it does not read"
        assert rss(idle.pid) - before < 8 * MIB


def test_the_33rd_viewer_is_told_that_there_are_too_many(idle: Program) -> None:
    viewers = [idle.viewer(rate=1) for _ in range(32)]
    extra = Viewer(wait_for_socket(idle.socket_path))
    assert "32" in extra.errors[0]["message"]
    extra.until_end()
    viewers.pop().close()

    def let_in() -> bool:
        viewer = Viewer(wait_for_socket(idle.socket_path))
        viewer.close()
        return viewer.first["type"] == "hello"

    wait_until(let_in, "a place for another")
    for viewer in viewers:
        viewer.close()


def test_loops_that_are_over_leave_nothing(tmp_path: Path) -> None:
    body = """
        import threading, time

        def kept():
            sizes, seen, left = {}, set(), [sys._looptop_probe]
            while left:
                owner = left.pop()
                if id(owner) in seen or not hasattr(owner, "__dict__"):
                    continue
                seen.add(id(owner))
                for name, value in vars(owner).items():
                    if isinstance(value, (dict, set, list)):
                        sizes[f"{type(owner).__name__}.{name}"] = len(value)
                    for thing in value if isinstance(value, list) else (value,):
                        if type(thing).__module__.partition(".")[0] == type(owner).__module__.partition(".")[0]:
                            left.append(thing)
            return sizes

        def several(work=lambda: asyncio.sleep(0.15)):
            all_ran = threading.Barrier(8)
            def target():
                run(work())
                all_ran.wait()
            threads = [threading.Thread(target=target) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        async def first():
            await told("ready")

        async def blocks():
            time.sleep(0.2)  # a slow callback: the clocks of all threads are looked up when it ends

        run(first())
        several()
        before = kept()
        before["Gil._clocks"] = -5  # no more than those of the threads that are there to stay
        before["History._by_loop"] = 32  # it keeps the figures of as many loops, ended or not
        for name in before:
            before[name] += 20 * name.startswith("Tables.")  # lines, of which a busy machine shows more; 40 loops follow

        def check():
            until = time.monotonic() + 45
            while True:
                after = kept()
                more = [name for name in after if after[name] - before.get(name, 0) >= 10]
                if not more or time.monotonic() > until:
                    break
                time.sleep(0.1)  # until the next look at the threads that there are
            print([f"{name}: {before.get(name, 0)} -> {after[name]}" for name in more], len(after) > 10, flush=True)

        for _ in range(5):
            several()
        check()
        sys.stdin.readline()
        several(blocks)
        check()
    """
    with Program(source(body), folder=tmp_path, env={"LOOPTOP_BOX": "off"}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            while not program.out[1:] and viewer.pump(0.5):
                pass
            program.expect("[] True")
        program.say()  # and with nobody connected, when nobody looks for threads while all loops rest
        program.expect("[] True")


def test_numbers_that_no_task_can_have(idle: Program) -> None:
    with idle.viewer() as bystander, idle.viewer() as viewer:
        for number in (-1, 0, 2**63 - 1, 2**63, 10**100):
            viewer.watch(rate=20, window=[number], detail=number)
            replies = viewer.ask("tasks", ids=[number])
            assert replies[-1]["ok"] and replies[-1]["total"] == 0
            (refused,) = viewer.ask("cancel", task=number)
            assert "no such task" in refused["error"]
            viewer.ticks(2)
        bystander.ticks(2)
    assert idle.stderr == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["rate", "slow", "window", "detail", "origins", "filter", "first", "events", "rows", "type", "id", "op"]
FIELDS += ["sort", "limit", "offset", "ids", "task"]
FRAMES = st.builds(
    lambda kind, op, fields: {"type": kind, "id": 1, "op": op, **fields},
    st.sampled_from(["watch", "request", "auth"]),
    st.sampled_from(["tasks", "cancel", "ping"]),
    st.dictionaries(st.sampled_from([name for name in FIELDS if name != "type"]), JSON, max_size=6),
)


def test_no_frame_of_a_viewer_harms(tmp_path: Path) -> None:
    """Frames with wrong types in every field: each is taken, or answered with one error; the probe lives on."""
    with Program(source(IDLE), folder=tmp_path) as program:
        program.expect("ready")

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(FRAMES, min_size=1, max_size=4))
        def talk(frames: list[dict[str, Any]]) -> None:
            with program.connect() as viewer:
                try:
                    for frame in frames:
                        viewer.send(frame)
                    viewer.watch(rate=20, filter=None, first={}, rows=True, window=[], detail=None)
                    viewer.send({"type": "request", "id": 99, "op": "ping"})
                    viewer.until(lambda: any(reply["id"] == 99 for reply in viewer.replies), "the end of it")
                except (EndedError, OSError):
                    viewer.read_for(0.1)
                    assert len(viewer.errors) == 1, viewer.errors

        talk()
        with program.viewer() as viewer:
            viewer.ticks(2)
            assert viewer.probe["off"] == []
        assert program.stderr == ""


MISTAKEN = """
    async def main():
        probe = sys._looptop_probe
        facts = probe.facts.probe
        def mistaken(*_):
            probe.facts.probe = facts
            raise KeyError("a mistake")
        probe.tasks.cancel = mistaken
        await told("ready")
        probe.facts.probe = mistaken
        await told("next")

    run(main())
"""


def test_a_mistake_of_ours_ends_who_met_it_and_nobody_else(tmp_path: Path) -> None:
    with Program(source(MISTAKEN), folder=tmp_path, settings={"box": "off"}) as program:  # which would meet it, too
        program.expect("ready")
        with program.viewer(rate=20) as other:
            with program.connect() as viewer:
                viewer.send({"type": "request", "id": 1, "op": "cancel", "task": 1})
                viewer.until_end()
                assert [error["message"] for error in viewer.errors] == ["the probe failed: KeyError: 'a mistake'"]
            other.ticks(2)
            program.say()
            program.expect("next")
            other.until_end()
            assert [error["message"] for error in other.errors] == ["the probe failed: KeyError: 'a mistake'"]
        with program.viewer() as another:
            another.ticks(2)
        assert program.stderr == ""


# TCP


def tcp(port: int, answer: Any) -> list[dict[str, Any]]:
    """The frames that come after an answer to the challenge."""

    def connect() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), 60)
        except OSError:
            return None

    with wait_until(connect, "the port") as sock:
        file = sock.makefile("rwb")
        challenge = json.loads(file.readline())
        assert challenge["type"] == "challenge" and challenge["protocol"] == 1
        file.write(json.dumps(answer(challenge["nonce"])).encode() + b"\n")
        file.flush()
        first = json.loads(file.readline())
        return [first] if first["type"] == "hello" else [first, *map(json.loads, file.readlines())]


def proof(token: str) -> Any:
    return lambda nonce: {
        "type": "auth",
        "answer": hmac.new(token.encode(), nonce.encode(), hashlib.sha256).hexdigest(),
    }


def test_tcp_wants_the_token(tmp_path: Path) -> None:
    port = free_port()
    with Program(source(IDLE), folder=tmp_path, env={"LOOPTOP_LISTEN": f"127.0.0.1:{port}"}) as program:
        program.expect("ready")
        facts = json.loads(program.socket_path.with_suffix(".json").read_text())
        assert facts["listen"] == f"127.0.0.1:{port}"
        token_file = Path(facts["token_file"])
        assert token_file.stat().st_mode & 0o077 == 0
        token = token_file.read_text().strip()
        assert len(token) >= 32
        (hello,) = tcp(port, proof(token))
        assert hello["session"] == facts["session"]
        for answer in (
            proof("wrong"),
            lambda nonce: {"type": "auth", "answer": token},
            lambda nonce: {"type": "auth"},
            lambda nonce: {"type": "auth", "answer": 3},
            lambda nonce: {"type": "watch", "rate": 4},
        ):
            assert [frame["message"] for frame in tcp(port, answer)] == ["wrong token"]
        program.say()
        program.say()
        assert program.end() == 0
        assert not token_file.exists()


def test_a_port_that_is_taken_is_one_warning(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with Program(source(IDLE), folder=tmp_path, env={"LOOPTOP_LISTEN": listen}) as program:
            program.expect("ready")
            with program.viewer() as viewer:
                viewer.ticks(1)
            program.say()
            program.say()
            assert program.end() == 0
            assert len(program.err) == 1 and listen in program.err[0] and program.err[0].startswith("looptop: ")


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("LOOPTOP_SLOW", "soon", 1),
        ("LOOPTOP_SLOW", "-1", 1),
        ("LOOPTOP_SLOW", "nan", 1),
        ("LOOPTOP_ENDED", "many", 1),
        ("LOOPTOP_CONTROL", "perhaps", 1),
        ("LOOPTOP_LISTEN", "here", 1),
        ("LOOPTOP_LISTEN", "127.0.0.1:99999", 1),
        ("LOOPTOP_EXPECT", "x", 1),
        ("LOOPTOP_DIR", "/proc/no/such", 1),
        ("LOOPTOP_DIR", "/dev/null", 1),
        ("LOOPTOP_DIR", "/tmp/" + "long" * 60, 1),
        ("LOOPTOP_NAME", "\x1b[31mred\n", 0),
        ("LOOPTOP_BOOT", "{broken", 1),
    ],
)
def test_bad_settings_are_one_line_and_the_program_runs(
    tmp_path: Path, python: str, name: str, value: str, lines: int
) -> None:
    code = "import asyncio; print(asyncio.run(asyncio.sleep(0.01, 'ran')))"
    environ = {**environment(), name: value}
    ran = subprocess.run([python, "-c", code], env=environ, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "ran\n")
    said = ran.stderr.splitlines()
    assert len(said) == lines and all(line.startswith("looptop: ") for line in said), ran.stderr


def test_another_users_process_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    nobody = 65534
    with Program(source(IDLE), folder=tmp_path, python=sys.executable) as program:
        program.expect("ready")
        # Root owns the probe; the other user is let through the directories on purpose, the probe itself must refuse.
        sock = socket.socket(socket.AF_UNIX)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.fchdir(os.open(program.directory, os.O_RDONLY))
                os.chmod(program.directory, 0o711)
                os.chmod(program.socket_path, 0o666)
                os.setgid(nobody)
                os.setuid(nobody)
                sock.settimeout(60)
                sock.connect(program.socket_path.name)
                os.write(writing, sock.recv(65536))
            except Exception as error:
                os.write(writing, repr(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        assert "another user" in said and '"error"' in said, said


def test_everything_hostile_stays_within_a_frame(tmp_path: Path) -> None:
    body = """
        async def waits(): await gate.wait()
        async def fails(): raise type("E" * 100_000, (Exception,), {})("m" * 1_000_000)
        waits.__qualname__ = "q" * 1_000_000

        async def main():
            global gate
            gate = asyncio.Event()
            names = ["\\x00" * 100_000, "\\ud800surrogate", "[/x]", "\\n\\x1b[2J", "😀" * 100_000]
            keep = [asyncio.create_task(waits(), name=name * (1 + n % 3)) for n in range(120) for name in names]
            keep += [asyncio.create_task(fails(), name="n" * 1_000_000) for _ in range(50)]
            await asyncio.sleep(0)
            keep[0].set_name("long" * 1_000_000)
            async def awaits(): await keep[0]
            waiter = asyncio.create_task(awaits(), name="waiter")
            await told("ready")
            keep += [asyncio.create_task(fails(), name="n" * 1_000_000) for _ in range(50)]
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            asyncio.get_running_loop().call_exception_handler({"message": "m" * 2_000_000})
            await asyncio.sleep(0.1)
            await told("over")

        run(main())
    """
    with Program(source(body), "a" * 100_000, folder=tmp_path, settings={"expect": 30}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.until(lambda: len(viewer.facts) >= 600, "all rows")
            program.say()
            program.expect("over")
            viewer.watch(
                window=[viewer.named("waiter")["id"], *list(viewer.facts)[-199:]], detail=viewer.named("waiter")["id"]
            )
            viewer.ask("tasks", limit=500)
            viewer.ticks(3)
            assert max(viewer.sizes) <= MIB, max(viewer.sizes)
            assert len(viewer.of_kind("task_ended")) == 100
            assert viewer.waits[viewer.named("waiter")["id"]][0] == "task"


def test_signals_and_the_end_are_the_programs(idle: Program) -> None:
    with idle.viewer() as viewer:
        viewer.ticks(1)
        idle.process.send_signal(signal.SIGTERM)
        viewer.until_end()
    assert idle.end() == -signal.SIGTERM
