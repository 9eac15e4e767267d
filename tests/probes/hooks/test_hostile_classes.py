"""Loops, tasks and handles of classes that do what nobody expects: the hooks neither crash, nor fail, nor show.

Each script runs with both twins, on an allocator that fills what is freed (PYTHONMALLOC=debug) and so turns a look at
something that is gone into a crash.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WATCHED = """
import asyncio, gc, sys, weakref
from probes.hooks import install
from probes.hooks.loops import Loops
from probes.hooks.registry import Registry

notices = []
registry = Registry(notices.append)
loops = Loops(registry)
install.state.on_error = registry.fail
install.state.on_slow = lambda *_: None
install.state.slow_threshold = 1e9
loops.install()
install.state.watching = True
loops.watch()
"""

twins = pytest.mark.parametrize("pure", ["", "1"], ids=["C", "Python"])


def run(python: str, pure: str, script: str, before: str = "") -> list[str]:
    """What a script prints that has the hooks in it; it must end well, and be silent on stderr."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LOOPTOP_PURE": pure}
    env.setdefault("PYTHONMALLOC", "debug")
    done = subprocess.run(
        [python, "-c", f"{before}\n" + WATCHED + textwrap.dedent(script) + "\nprint(install.HOOKS)\nassert not notices, notices\n"],
        env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    assert done.stderr == ""
    *lines, hooks = done.stdout.splitlines()
    if not pure and hooks != "C":
        pytest.skip(f"the hooks in C are not here: {hooks}")
    return lines


@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
@twins
def test_a_handle_that_is_cancelled_while_its_loop_is_looked_up_still_runs(python: str, pure: str) -> None:
    """As it would without hooks, where nobody asks for a hash between the loop's look at the handle and its run."""
    lines = run(
        python,
        pure,
        """
        class Loop(asyncio.SelectorEventLoop):
            victim = None

            def __hash__(self):
                if self.victim is not None and sys._getframe(1).f_code is ONCE:
                    self.victim.cancel()
                    self.victim = None
                return 7

            def __eq__(self, other):
                return self is other

        class Callback:
            def __init__(self):
                self.padding = bytearray(300)

            def __call__(self, first, second):
                ran.append(len(first) + len(second))

        def turn(left):
            if not left:
                loop.stop()
                return
            events = asyncio.events
            events._set_running_loop(None)  # another loop runs in between, and is the last that was looked up
            other.call_soon(other.stop)
            other.run_forever()
            events._set_running_loop(loop)
            loop.victim = loop.call_soon(Callback(), "x" * 1000, bytearray(100))
            loop.call_soon(turn, left - 1)

        ONCE, ran = asyncio.BaseEventLoop._run_once.__code__, []
        loop, other = Loop(), Loop()
        loop.call_soon(turn, 100)
        loop.run_forever()
        print(ran == [1100] * 100)
        loop.close()
        other.close()
        """,
    )
    assert lines == ["True"]


@twins
def test_whoever_holds_all_that_the_collector_knows_switches_no_hook_off(python: str, pure: str) -> None:
    """A look at memory holds every object for a while: also those that the hooks use again and again."""
    lines = run(
        python,
        pure,
        """
        async def nothing():
            pass

        async def main():
            for _ in range(3):
                await asyncio.create_task(nothing())
            held = gc.get_objects()
            for _ in range(3):
                await asyncio.create_task(nothing())
            return len(held) > 100

        print(asyncio.run(main()))
        """,
    )
    assert lines == ["True"]


OWN_LOOP = """
        from _asyncio import _set_running_loop  # as a module has it that was imported before the probe came

        class Loop(asyncio.SelectorEventLoop):
            def run_forever(self):
                setter(self)
                self._stopping = False
                while not self._stopping:
                    self._run_once()
                if proper:
                    setter(None)
                self._stopping = False

        async def work():
            await asyncio.sleep(0)
            await asyncio.get_running_loop().create_task(asyncio.sleep(0))
            return "fine"

        def fails(function, *args):
            try:
                function(*args)
            except RuntimeError as error:
                return str(error) == "Event loop is closed"

        for setter, proper in (
            (_set_running_loop, True), (_set_running_loop, False),
            (asyncio._set_running_loop, True), (asyncio._set_running_loop, False),
        ):
            loop = Loop()
            print(loop.run_until_complete(work()))
"""


@twins
def test_a_closed_loop_of_a_class_that_runs_itself_takes_nothing(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        OWN_LOOP
        + """
            loop.close()
            coro = work()
            print(fails(loop.call_soon, print), fails(loop.create_task, coro))
            coro.close()
            _set_running_loop(None)
        """,
    )
    assert lines == ["fine", "True True"] * 4


@twins
def test_no_loop_of_a_class_that_runs_itself_is_kept_alive(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        OWN_LOOP
        + """
            _set_running_loop(None)
            loop.close()
            gone = weakref.ref(loop)
            del loop
            gc.collect()
            print(gone() is None, len(install.running()))
        """,
    )
    assert lines == ["fine", "True 0"] * 4


@twins
def test_no_uvloop_is_kept_alive(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        """
        try:
            import uvloop
        except ImportError:
            print("none here")
        else:
            async def work():
                await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

            loop = uvloop.new_event_loop()
            loop.run_until_complete(work())
            loop.close()
            gone = weakref.ref(loop)
            del loop
            gc.collect()
            print(gone() is None, len(install.running()))
        """,
        before="import contextlib\nwith contextlib.suppress(ImportError):\n    import uvloop",
    )
    assert lines in (["True 0"], ["none here"])


@twins
def test_a_task_that_cannot_say_whether_it_is_done_switches_no_hook_off(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        """
        def broken(base, name):
            def method(self):  # asyncio itself relies on it
                caller = sys._getframe(1).f_code
                if caller.co_name == "_run_once" or "/probes/" in caller.co_filename:
                    raise ValueError("of the program")
                return getattr(base, name)(self)
            return method

        def class_of(base):
            return type("Task", (base,), {name: broken(base, name) for name in ("done", "cancelled", "get_name")})

        async def work(steps):
            for _ in range(steps):
                await asyncio.sleep(0)
            return steps

        class Made:
            def set_name(self, name):
                pass

        async def main(base):
            loop = asyncio.get_running_loop()
            loop.set_task_factory(lambda loop, coro, **kwargs: class_of(base)(coro, loop=loop, **kwargs))
            tasks = [loop.create_task(work(steps)) for steps in (0, 2)]
            loop.set_task_factory(lambda loop, coro, **kwargs: (coro.close(), Made())[1])
            assert type(loop.create_task(work(0))) is Made
            loop.set_task_factory(None)
            for _ in range(9):
                await asyncio.sleep(0)
            return [task.result() for task in tasks[:2]]

        for base in (asyncio.Task, asyncio.tasks._PyTask):
            print(asyncio.run(main(base)))
        """,
    )
    assert lines == ["[0, 2]"] * 2


@twins
def test_no_coroutine_is_asked_for_its_name(python: str, pure: str) -> None:
    """Its answer may be any exception, and one that leaves the hooks would be raised by `create_task`."""
    lines = run(
        python,
        pure,
        """
        import collections.abc
        from probes.base.task_facts import name_of

        class Coroutine(collections.abc.Coroutine):
            def __init__(self, coro): self.coro = coro
            def send(self, value): return self.coro.send(value)
            def throw(self, *error): return self.coro.throw(*error)
            def close(self): return self.coro.close()
            def __await__(self): return self.coro.__await__()

        class Refuses(Coroutine):
            def __getattr__(self, name): raise KeyboardInterrupt(name)

        class RefusesAll(Coroutine):
            def __getattribute__(self, name):
                if name == "__qualname__": raise SystemExit(name)
                return super().__getattribute__(name)

        class Named(Coroutine):
            def __init__(self, coro): super().__init__(coro); self.__qualname__ = "a name"

        async def fine(): await asyncio.sleep(0); return 1
        async def fails(): raise LookupError

        async def main():
            for kind in (Refuses, RefusesAll, Named):
                assert await asyncio.create_task(kind(fine())) == 1
                done, = await asyncio.gather(asyncio.create_task(kind(fails())), return_exceptions=True)
                assert type(done) is LookupError
            made = fine()
            print(*(name_of(kind(made)) for kind in (Refuses, RefusesAll, Named)))
            print(name_of(made), name_of(None))
            made.close()

        asyncio.run(main())
        """,
    )
    assert lines == ["Refuses RefusesAll a name", "fine NoneType"]


@twins
def test_a_handle_whose_loop_was_changed_runs_and_switches_no_hook_off(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        """
        from unittest.mock import Mock

        class Hashless(asyncio.SelectorEventLoop):
            def __hash__(self):
                raise ValueError("of the program")

            def __del__(self):
                pass

        class Anything:
            pass

        async def main():
            loop, ran = asyncio.get_running_loop(), []
            for other in (None, object(), [], Anything(), Mock(), Hashless.__new__(Hashless)):
                loop.call_soon(ran.append, 1)._loop = other
            await asyncio.sleep(0)
            return len(ran)

        print(asyncio.run(main()), [record.kind for _, record in loops.all()])
        """,
    )
    assert lines in (["6 ['asyncio']"], ["6 []"])


@twins
def test_timers_are_counted_that_are_not_cancelled(python: str, pure: str) -> None:
    lines = run(
        python,
        pure,
        """
        from probes.hooks.loops import row_of

        async def main():
            loop = asyncio.get_running_loop()
            record = install.loops[loop]
            sleeping = [asyncio.create_task(asyncio.sleep(60)) for _ in range(20)]
            cancelled = [loop.call_later(60, print) for _ in range(7)]
            await asyncio.sleep(0)
            for timer in cancelled:
                timer.cancel()
            loop._timer_cancelled_count = 1000  # it drifts
            print(row_of(record, loop, 0.0)[4])
            loop._timer_cancelled_count = 7

        asyncio.run(main())
        """,
    )
    assert lines == ["20"]


@pytest.mark.parametrize("name", ["type", "sorted", "list"])
@twins
def test_patched_builtins_put_no_traceback_on_stderr(
    python: str, pure: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe may have to leave then, which is one line."""
    script = f"""
import asyncio, builtins, sys, time
import probes

class broken(builtins.{name} if isinstance(builtins.{name}, type) else object):
    def __new__(cls, *args, **kwargs):
        raise ValueError("patched")

async def main():
    probe = probes.install(expect=30.0)
    await asyncio.sleep(0.1)
    before, builtins.{name} = builtins.{name}, broken
    due = time.monotonic() + 0.7
    while probe._alive and time.monotonic() < due:
        time.sleep(0.01)
    builtins.{name} = before

asyncio.run(main())
print("fine")
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LOOPTOP_PURE": pure}
    done = subprocess.run([python, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr[-2000:]
    assert all(line.startswith("looptop: ") for line in done.stderr.splitlines()), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
def test_time_in_a_loop_inside_a_callback_counts_once(python: str) -> None:
    """As with nest_asyncio: the callback around it, and its task, have only what is left."""
    lines = run(
        python,
        "",
        """
        import time

        if install.native_state is None:
            print(install.HOOKS)
            sys.exit()
        slow = []
        install.state.on_slow = lambda loop, callback, record, started, elapsed: slow.append((record, elapsed))
        install.state.slow_threshold = 0.0
        loop = asyncio.new_event_loop()

        def spin():
            due = time.monotonic() + 0.02
            while time.monotonic() < due:
                pass

        async def inner():
            for _ in range(10):
                spin()
                await asyncio.sleep(0)

        async def outer():
            task = loop.create_task(inner())
            asyncio.events._set_running_loop(None)
            asyncio.events._set_running_loop(loop)
            current = asyncio.current_task()
            asyncio.tasks._leave_task(loop, current)
            while not task.done():
                loop._run_once()
            asyncio.tasks._enter_task(loop, current)
            spin()

        clock = loops.known(loop)
        began = time.monotonic()
        task = loop.create_task(outer())
        record = install.record_of(task)
        loop.run_until_complete(task)
        took = time.monotonic() - began
        print(0.2 < clock.busy <= took, 0.02 <= record.busy < record.busy + 0.2 <= took)
        print((record, record.busy) in slow, clock.inside)
        loop.close()
        """,
    )
    assert lines == ["True True", "True 0"]


@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
def test_the_step_ring_survives_what_callbacks_do(python: str) -> None:
    """A loop that is run by its own callback, as nest_asyncio does; Ctrl+C while a wait is described; a function of the
    program's that has the name of one of asyncio's; a ring that begins within a callback."""
    lines = run(
        python,
        "",
        """
        import signal, time

        loop = asyncio.new_event_loop()
        state = install.native_state
        if state is None:
            print(install.HOOKS)
            sys.exit()
        named = []
        raising = False

        def name(number, thing, variables):
            named.append(number)
            if raising:
                signal.raise_signal(signal.SIGINT)

        assert state.trace_start(1 << 20, name)

        # The loop runs within a callback, and the last callback in there is that of a timer.
        inside = []

        def outer():
            loop.call_later(0, inside.append, bytearray(500))
            while len(inside) < len(outers) + 1:
                loop._run_once()
            time.sleep(0.0001)
            outers.append(1)
            if len(outers) < 50:
                loop.call_soon(outer)
            else:
                loop.stop()

        outers = []
        loop.call_soon(outer)
        loop.run_forever()
        print(len(outers), len(inside))

        # What ends a long wait, from outside of the loop, is called `_on_timeout`, and its object has a `when`.
        class Alarm:
            asked = 0

            def when(self):
                self.asked += 1
                return 1.0

            def _on_timeout(self):
                future.set_result(1)

        alarm, future = Alarm(), loop.create_future()
        task = loop.create_task(asyncio.wait_for(future, None))
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        alarm._on_timeout()
        loop.run_until_complete(task)
        print(alarm.asked)

        # Somebody presses Ctrl+C while the object is named that a task has waited on for long.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        event = asyncio.Event()

        async def sleeper():
            await event.wait()
            return "woken"

        async def main():
            global raising
            task = asyncio.ensure_future(sleeper())
            await asyncio.sleep(0.05)
            tasks.append(task)
            raising = True
            event.set()
            for _ in range(10):
                pass
            return "missed"

        tasks = []
        for _ in range(5):  # naming has a limit in each 0.1 s
            named.clear()
            raising = False
            try:
                print(loop.run_until_complete(main()))
            except KeyboardInterrupt:
                print("interrupted", bool(named))
                break
            time.sleep(0.15)
        raising = False
        print(loop.run_until_complete(tasks[-1]))

        # The ring begins anew within a callback, after one of a timer that is no more.
        def begin():
            state.trace_start(1 << 20, name)
            time.sleep(0.0001)
            loop.stop()

        for _ in range(20):
            loop.call_later(0, lambda size: loop.stop(), bytearray(500))
            loop.run_forever()
            state.trace_stop()
            loop.call_soon(begin)
            loop.run_forever()
        state.trace_stop()
        loop.close()
        """,
    )
    assert lines == ["50 50", "0", "interrupted True", "woken"]


@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
def test_counting_may_begin_anew_while_a_label_is_read(python: str) -> None:
    """The group of a record goes then, and what the label was to be kept in."""
    lines = run(
        python,
        "",
        """
        from probes.hooks.groups import groups

        if install.native_state is None:
            print(install.HOOKS)
            sys.exit()

        class Request:
            forgets = False

            @property
            def route(self):
                if self.forgets:
                    groups.clear()
                    for record in install.records.values():
                        install.native_state.start_counting(record)
                    filler.extend(bytearray(size) for size in range(16, 512, 8) for _ in range(50))
                return "/x"

        def made(group, coro):
            group.adapter = "ours"
            group.plan(Request, False, (), (("route",),), 1, ("status",))

        async def handle(request):
            await asyncio.sleep(0)

        async def main():
            for forgets in (False, False, True, False, False, True):
                request = Request()
                request.forgets = forgets
                await asyncio.create_task(handle(request))
                filler.clear()

        filler = []
        groups.on_made = made
        groups.label_of = lambda record: record.source and record.source.route
        asyncio.run(main())
        print([(group.label, group.ended) for group in groups.by_number.values() if group.label])
        """,
    )
    assert lines == ["[]"]
