"""Programs that fork, exec, close everything, end badly or pull the probe's hooks out: they run as without us."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from waiting import wait_until
from watched import Program

TOLD = """
import asyncio, os, sys, time

async def told(what=None):
    if what: print(what, flush=True)
    return await asyncio.to_thread(sys.stdin.readline)
"""


def written(body: str) -> str:
    import textwrap

    return TOLD + textwrap.dedent(body)


def ends_clean(program: Program, status: int = 0) -> None:
    assert program.end() == status, program.stderr
    assert program.stderr == ""


def test_a_forked_child_has_no_probe_and_the_parent_keeps_its_own(tmp_path: Path, python: str) -> None:
    body = """
        import json, warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        def facts():
            from asyncio import events
            links = []
            for number in os.listdir("/proc/self/fd"):
                try: links.append(os.readlink(f"/proc/self/fd/{number}"))
                except OSError: pass
            return {
                "probe": hasattr(sys, "_looptop_probe"),
                "run": events.Handle._run.__code__.co_filename,
                "create": asyncio.BaseEventLoop.create_task.__code__.co_filename,
                "sockets": sum(link.startswith("socket:") for link in links),
                "threads": len(os.listdir("/proc/self/task")),
            }

        async def in_child():
            return [await each for each in [asyncio.create_task(asyncio.sleep(0.001, n)) for n in range(3)]]

        async def main():
            await told("ready")
            pid = os.fork()
            if pid == 0:
                print(json.dumps(facts()), flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            await told("again")

        asyncio.run(main())
        before = len([1 for number in os.listdir("/proc/self/fd")])
        if os.fork() == 0:
            print(json.dumps(facts() | {"ran": asyncio.run(in_child())}), flush=True)
            sys.exit(0)
        os.wait()
        sys.stdin.readline()
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            program.say()
            child = json.loads(program.line())
            program.expect("again")
            viewer.ticks(2)
            assert not child["probe"] and child["threads"] == 1
            assert "probes" not in child["run"] and "probes" not in child["create"], "no hook of ours is left"
            assert child["sockets"] <= 2, "only the loop's own pair"
            assert viewer.named("Task-1")["state"] == "waiting"
            program.say()
            child = json.loads(program.line())
            assert child["ran"] == [0, 1, 2] and not child["probe"] and child["sockets"] == 0
            viewer.ticks(2)
            assert program.socket_path.exists(), "the child's end took nothing of the parent's away"
        program.say()
        ends_clean(program)
    assert not list(program.directory.iterdir())


def test_a_program_that_execs_goes_on_without(tmp_path: Path, python: str) -> None:
    body = """
        async def main():
            await told("ready")
            os.execv(sys.executable, [sys.executable, "-c", "import os, sys; print(sorted(os.listdir('/proc/self/fd'))[:3], hasattr(sys, '_looptop_probe'))"])
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            assert program.line().endswith("False")
            viewer.until_end()
        ends_clean(program)


@pytest.mark.parametrize("watched", ["watched", "unwatched", "connected"])
def test_a_program_that_closes_all_descriptors_keeps_its_own_afterwards(
    tmp_path: Path, python: str, watched: str
) -> None:
    """What it opens under the numbers that were ours is never read, written or closed by us."""
    body = """
        import socket
        print("ready", flush=True)
        sys.stdin.readline()
        probe = sys._looptop_probe
        class Ended:
            release = probe._ended.release
            def acquire(self, timeout): os.write(2, b"its end waits for the probe")
        probe._ended = Ended()
        os.closerange(3, 65536)
        pairs = [socket.socketpair() for _ in range(10)]
        files = [open(f"file {n}", "w+") for n in range(10)]
        numbers = [each.fileno() for pair in pairs for each in pair] + [file.fileno() for file in files]
        for left, right in pairs: left.send(b"hello")
        end = time.monotonic() + 1.0
        async def work():
            while time.monotonic() < end: await asyncio.sleep(0.01)
        asyncio.run(work())
        for number in numbers: os.fstat(number)
        for left, right in pairs:
            right.setblocking(False)
            assert right.recv(100) == b"hello"
            try: right.recv(1); raise SystemExit("something else was written")
            except BlockingIOError: pass
            try: left.setblocking(False); left.recv(1); raise SystemExit("something was written")
            except BlockingIOError: pass
        for file in files:
            file.seek(0); assert file.read() == "", "something was written"
        print("fine", flush=True)
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        viewer = program.viewer() if watched == "watched" else program.connect() if watched == "connected" else None
        if watched == "watched":
            viewer.ticks(1)
        program.say()
        program.expect("fine")
        ends_clean(program)
        if viewer is not None:
            viewer.until_end()
            viewer.close()


@pytest.mark.parametrize(("how", "status"), [("os._exit(5)", 5), ("os.kill(os.getpid(), 9)", -9), ("os.abort()", -6)])
def test_a_program_that_ends_at_once(tmp_path: Path, how: str, status: int) -> None:
    body = f"""
        async def main():
            await told("ready")
            {how}
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            viewer.until_end()
        assert program.end() == status
        assert program.socket_path.exists(), "nobody could clean up; a reader finds that it is stale"
    again = tmp_path / "again"
    again.mkdir()
    with Program("import time; time.sleep(0)", folder=again) as other:
        assert other.end() == 0 and not other.stderr


@pytest.mark.parametrize("script", ["", "raise SystemExit(3)", "import asyncio", "syntax error(", "1 / 0"])
def test_a_program_that_is_over_before_anybody_looks(tmp_path: Path, python: str, script: str) -> None:
    outcomes = []
    for boot in (False, True):
        with Program(script, folder=tmp_path, python=python, boot=boot, settings={"expect": 10}) as program:
            outcomes.append((program.end(), program.out, program.err))
    assert outcomes[0] == outcomes[1]
    left = [
        file for file in program.directory.glob("*") if file.suffix != ".box"
    ]  # that of a program that failed stays
    assert not left


def test_a_program_that_changes_its_folder_and_empties_its_environment(tmp_path: Path, python: str) -> None:
    body = """
        async def main():
            await told("ready")
            os.environ.clear()
            os.chdir("/")
            sys.path.clear()
            sys.modules.pop("_looptop_probes", None)
            await told("cleared")
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("cleared")
            viewer.ticks(2)
        with program.viewer() as viewer:
            viewer.ticks(2)
            assert viewer.ask("ping")[0]["ok"]
            assert viewer.details_of("Task-1")["await_stack"]
        program.say()
        ends_clean(program)
    assert not list(program.directory.iterdir())


def test_hooks_that_were_covered_stay_and_are_told_and_never_count_twice(tmp_path: Path, python: str) -> None:
    body = """
        from asyncio import events

        async def main():
            await told("ready")
            ours = events.Handle._run
            def covers(self):
                covers.calls += 1
                return ours(self)
            covers.calls = 0
            events.Handle._run = covers
            await told("covered")
            end = time.monotonic() + 60
            while sys._looptop_probe.counting.on and time.monotonic() < end: time.sleep(0.01)
            await told("again")
            async def steps():
                for _ in range(10): await asyncio.sleep(0)
                await told("stepped")
            task = asyncio.create_task(steps(), name="steps")
            await task
            print(events.Handle._run is covers, covers.calls > 10, flush=True)

        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python, settings={"history": False}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("covered")
        with program.viewer(filter="nobody") as alone:
            alone.ticks(1)
        program.say()
        program.expect("again")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("stepped")
            viewer.ticks(2)
            assert viewer.named("steps")["steps"] == 11, "once, not twice"
            assert any("left in place" in event["text"] for event in viewer.of_kind("notice"))
            program.say()
            program.expect("True True")
        ends_clean(program)


@pytest.mark.parametrize("hook", ["run", "create_task", "exception handler", "loop start", "watchdog"])
def test_a_hook_that_raises_is_switched_off_and_told(tmp_path: Path, python: str, hook: str) -> None:
    body = f"""
        import probes
        from probes.base import sites
        from probes.hooks import install
        from probes.sampling import watchdog
        probe = probes.install(box="off")  # it would read the broken tables, too
        hook = {hook!r}

        class Breaks(dict):
            def get(self, key, default=None): raise ZeroDivisionError("injected")
            __getitem__ = pop = get

        def breaks(*args): raise ZeroDivisionError("injected")

        async def work(n):
            await asyncio.sleep(0)
            return n

        async def main():
            await told("ready")
            if hook == "run": install.state.on_slow, install.state.slow_threshold = breaks, 0.0
            if hook == "create_task":
                sites.plumbing.clear()
                type(sites.plumbing).__missing__ = breaks
            if hook == "exception handler": probe.loops.on_unhandled = breaks
            if hook == "loop start": probe.loops._started = breaks
            if hook == "watchdog": watchdog.stack_of = breaks
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: print(context["message"], flush=True))
            print([await asyncio.create_task(work(n)) for n in range(3)], flush=True)
            asyncio.get_running_loop().call_exception_handler({{"message": "heard"}})
            await asyncio.to_thread(lambda: asyncio.run(work(3)))
            end = time.monotonic() + 60
            while hook not in probe.registry.failed and time.monotonic() < end: time.sleep(0.2)
            await told("worked")

        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python, boot=False) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("[0, 1, 2]")
            program.expect("heard")
            program.expect("worked")
            viewer.until(lambda: any(hook in text for text in viewer.probe["off"]), f"{hook} to be off")
            assert "injected" in viewer.probe["off"][0]
            viewer.until(lambda: any(hook in event["text"] for event in viewer.of_kind("notice")), "to be told")
        program.say()
        ends_clean(program)


HOSTILE_OBJECTS = """
    import collections.abc

    class Answers:
        def __init__(self, loop): self.loop = loop
        def get_loop(self): return self.loop
        def add_done_callback(self, callback, *, context=None): pass
        def cancel(self, *args, **kwargs): return False
        def done(self): raise RuntimeError("no answer")
        def __await__(self):
            self._asyncio_future_blocking = True
            yield self

    class Children(list):
        def __iter__(self): raise RuntimeError("no answer")

    class Gathers(asyncio.Future):
        _children = Children([1])

    class Silent(asyncio.Task):
        def get_coro(self): raise RuntimeError("no answer")
        def get_name(self): raise RuntimeError("no answer")
        def done(self): raise RuntimeError("no answer")
        def cancelled(self): raise RuntimeError("no answer")
        def cancelling(self): raise RuntimeError("no answer")

    class Coroutine(collections.abc.Coroutine):
        waits = None
        def send(self, value):
            if self.waits is None: self.waits = asyncio.get_running_loop().create_future().__await__()
            return self.waits.send(value)
        def throw(self, *args): return self.waits.throw(*args)
        def close(self): pass
        def __await__(self): return iter(())

    class Refuses(Coroutine):
        def __getattr__(self, name): raise RuntimeError("no answer")

    class Pretends(Coroutine):
        def __getattr__(self, name):
            if name in ("cr_frame", "cr_await", "cr_code", "cr_running"): return self
            raise AttributeError(name)
        def __eq__(self, other): raise RuntimeError("no answer")
        __hash__ = object.__hash__
        def __bool__(self): raise RuntimeError("no answer")

    async def answers(): await Answers(asyncio.get_running_loop())
    async def gathers(): await Gathers()
    async def main():
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(answers()), asyncio.create_task(gathers()), Silent(gathers(), loop=loop)]
        tasks += [asyncio.create_task(one) for one in (Refuses(), Pretends())]
        await told("ready")
        os._exit(0)

    asyncio.run(main())
"""


def test_tasks_and_awaitables_that_fail_to_answer_end_neither_probe_nor_black_box(tmp_path: Path, python: str) -> None:
    with Program(written(HOSTILE_OBJECTS), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.watch(window=[1, 2, 3, 4, 5, 6], flame=50, flame_wait=True)
            viewer.ticks(3)
            found = viewer.ask("tasks", ids=[2, 3, 4, 5, 6])
            kinds = {task["waiting_on"]["kind"] for reply in found for task in reply["details"]}
            assert kinds == {"future"}
        program.say()
        ends_clean(program)


def test_uninstall_leaves_nothing(tmp_path: Path, python: str) -> None:
    body = """
        import asyncio.events, gc, threading
        import probes

        def state():
            return (
                asyncio.events.Handle._run, asyncio.BaseEventLoop.call_soon, asyncio.BaseEventLoop.create_task,
                asyncio.BaseEventLoop.call_exception_handler, asyncio.events._set_running_loop, asyncio._set_running_loop,
                vars(asyncio.AbstractEventLoop).get("__init_subclass__"), sys.setprofile, threading.enumerate(),
                sorted(os.listdir("/proc/self/fd"))[:-1], hasattr(sys, "_looptop_probe"),
            )

        async def work():
            return await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(10)))

        asyncio.run(work())
        before = state()
        for _ in range(3):
            with probes.watching(expect=10) as probe:
                assert probe is probes.install() and state()[-1]
                asyncio.run(work())
                files = [name for name in os.listdir(os.environ["LOOPTOP_DIR"]) if not name.endswith(".box")]
                assert len(files) == 2, files
            end = time.monotonic() + 60
            while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end: time.sleep(0.01)
            after = state()
            assert after == before, [pair for pair in zip(before, after) if pair[0] != pair[1]]
            assert not os.listdir(os.environ["LOOPTOP_DIR"]) and len(os.listdir("/proc/self/task")) == 1
        probes.uninstall()
        asyncio.run(work())
        print("fine")
    """
    with Program(written(body), folder=tmp_path, python=python, boot=False) as program:
        program.expect("fine")
        ends_clean(program)


def test_the_second_probe_finds_the_first(tmp_path: Path, python: str) -> None:
    body = f"""
        sys.path.insert(0, {str(Path(__file__).resolve().parent.parent.parent)!r})
        import probes
        assert probes.install(name="second") is sys._looptop_probe
        assert type(sys._looptop_probe).__module__ == "_looptop_probes.probe"
        with probes.watching(): pass
        assert sys._looptop_probe is not None
        async def main(): await told("ready")
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python, settings={"name": "first"}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            assert viewer.first["name"] == "first"
        program.say()
        ends_clean(program)


def test_a_loop_that_is_blocked_from_the_start_is_watched_all_the_same(tmp_path: Path, python: str) -> None:
    body = """
        async def main():
            print("blocking", flush=True)
            sys.stdin.readline()
            await told("over")
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("blocking")
        with program.viewer() as viewer:
            viewer.ticks(1)
            assert viewer.named("Task-1")["state"] == "running"
            program.say()
            program.expect("over")
        program.say()
        ends_clean(program)


def test_a_program_without_stdout_and_stderr(tmp_path: Path, python: str) -> None:
    body = """
        import probes
        sys.stdin.readline()
        sys.stdout.close(); sys.stderr.close()
        os.close(1); os.close(2)
        sys.stdout = sys.stderr = None
        async def main(): await asyncio.sleep(0.5)
        asyncio.run(main())
        os._exit(0 if probes.install() else 6)
    """
    with Program(
        written(body), folder=tmp_path, python=python, boot=False, env={"LOOPTOP_SLOW": "0.02", "LOOPTOP_LISTEN": ":x"}
    ) as program:
        program.say()
        assert program.end() == 0


def test_much_output_is_not_changed(tmp_path: Path) -> None:
    body = """
        async def main():
            for n in range(20_000):
                print(n, "x" * 100)
                if n % 100 == 0: await asyncio.sleep(0)
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path, settings={"expect": 10}) as program:
        ends_clean(program)
        assert program.out == [f"{n} {'x' * 100}" for n in range(20_000)]


def test_no_descriptors_left_means_no_viewer_and_no_spinning(tmp_path: Path, python: str) -> None:
    body = """
        import resource, socket
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        turns, turn = 0, sys._looptop_probe.server._turn
        def counted(ready):
            global turns
            turns += 1
            turn(ready)
        sys._looptop_probe.server._turn = counted
        async def main():
            held = []
            await told("ready")
            try:
                while True: held.append(os.dup(0))
            except OSError: pass
            print("full", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            before, began = turns, time.monotonic()
            print("again", flush=True)
            await asyncio.sleep(1)
            print(round((turns - before) / (time.monotonic() - began)), flush=True)
            for number in held: os.close(number)
            await told("free")
        asyncio.run(main())
    """
    import socket

    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        program.say()
        program.expect("full")
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(program.socket_path))
            program.say()
            program.expect("again")
            assert int(program.line()) < 50, "the probe does not spin"
            program.expect("free")
            waiting.settimeout(60)
            assert b'"hello"' in waiting.recv(65536), "let in when there is room again"
        program.say()
        ends_clean(program)


def test_fork_warnings_are_the_programs_own(tmp_path: Path, python: str) -> None:
    body = """
        if os.fork() == 0: os._exit(0)
        os.wait()
        print("forked", flush=True)
    """
    with Program(written(body), folder=tmp_path, python=python) as program:
        program.expect("forked")
        ends_clean(program)


def test_descriptors_are_closed_on_exec(tmp_path: Path) -> None:
    body = """
        async def main():
            await told("ready")
            child = await asyncio.create_subprocess_exec("/bin/ls", "/proc/self/fd", close_fds=False)
            await child.wait()
            await told("over")
        asyncio.run(main())
    """
    with Program(written(body), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            wait_until(lambda: "over" in program.out, "the end")
            seen = [line for line in program.out if line.isdigit()]
            assert len(seen) <= 5, seen  # 0, 1, 2, the folder that ls reads, and what pytest may have left open
        program.process.send_signal(signal.SIGKILL)
        program.end()
    assert os.name == "posix" and sys.platform != "win32"
