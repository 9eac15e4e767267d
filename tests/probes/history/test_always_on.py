"""With the hooks in C a program is counted from its first task: what comes before the first viewer is known to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from interpreters import version_of
from test_counting import UVLOOP, source
from waiting import wait_until
from watched import Program

BODY = """
    from asyncio import events

    async def waits():
        await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    async def fails():
        await asyncio.sleep(0)
        raise ValueError("early")

    async def blocks():
        await asyncio.sleep(0.05)
        probe, until = sys._looptop_probe, time.monotonic() + 60
        time.sleep(0.35)
        # The watchdog may come late, on a crowded machine.
        while probe.counting.on and not sampled(probe.watchdog) and time.monotonic() < until:
            time.sleep(0.1)

    def sampled(watchdog):
        return any(slow.samples for slow in watchdog.blocked(0.1))

    class Plain(asyncio.Task):
        pass

    class Begun(asyncio.Task):
        def __init__(self, coro, **more):
            super().__init__(coro, **more)

    def direct(loop):
        # Tasks that no `create_task` makes, each of another kind.
        kinds = [asyncio.Task, Plain, Begun, type("Late", (asyncio.Task,), {}), asyncio.tasks._PyTask]
        made = [kind(waits(), loop=loop, name=f"direct-{number}") for number, kind in enumerate(kinds)]
        if sys.version_info >= (3, 12):
            made += [
                kind(waits(), loop=loop, eager_start=True, name=f"direct-{number}")
                for number, kind in enumerate((asyncio.Task, Begun), len(made))
            ]
            made += [asyncio.Task(ends(), loop=loop, eager_start=True) for _ in range(3)]
        return made

    async def ends():
        pass

    def state():
        probe = sys._looptop_probe
        hooks = sorted({hook.name for hook in probe.registry.hooks} & {"run", "call_soon"})
        return f"{probe.counting.on} {len(probe.server.viewers)} {' '.join(hooks)}"

    async def main():
        kept = [asyncio.create_task(waits(), name=f"early-{number}") for number in range(20)]
        kept += direct(asyncio.get_running_loop())
        kept += [asyncio.create_task(fails(), name="failing"), asyncio.create_task(blocks(), name="blocking")]
        await asyncio.sleep(2.6)
        await told("ready")
        while True:
            await told(state())

    run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_happened_before_the_first_viewer_is_known(python: str, loop: str, tmp_path: Path) -> None:
    setup = "run = asyncio.run\n"
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
        if python != sys.executable:
            pytest.skip("uvloop is installed for one Python")
        setup = UVLOOP
    with Program(source(BODY, setup), folder=tmp_path, python=python, env={"LOOPTOP_PURE": "0"}) as program:
        program.expect("ready")
        with program.viewer(rate=4, history=True) as viewer:
            viewer.ticks(1)
            assert viewer.first["hooks"] == "C" and "history" in viewer.first["capabilities"]
            assert viewer.first["counted"] is not None
            tasks = [viewer.named(f"early-{number}") for number in range(20)]
            for task in tasks:
                assert task["born"] is not None and task["counted"] is None
                assert task["born"] >= viewer.first["counted"]
                assert task["steps"] == 2 and task["busy"] > 0
            eager = version_of(python) >= (3, 12)
            for number in range(7 if eager else 5):
                task = viewer.named(f"direct-{number}")
                assert task["born"] is not None and task["counted"] is None and task["scheduled"] > 0, task
                assert task["steps"] == 2 and task["busy"] > 0, task
                assert viewer.site(task["site"])[2].startswith(("direct", "Begun.")), task
            assert viewer.at("main")["born"] == 22
            assert viewer.at("direct")["born"] >= (4 + 1 + 3 if eager else 4)
            blocked = viewer.until(lambda: viewer.of_kind("slow_callback"), "what blocked before")[0]
            assert blocked["name"] == "blocking" and not blocked["at_least"] and blocked["duration"] >= 300_000
            assert viewer.site(blocked["stack"][blocked["blame"]])[2] == "blocks"
            failed = viewer.until(
                lambda: [end for end in viewer.of_kind("task_ended") if end["outcome"] == "failed"], ""
            )
            assert failed[0]["name"] == "failing" and failed[0]["steps"] == 2 and failed[0]["age"] is not None

            def past() -> dict[int, dict]:
                frames = [frame for frame in viewer.frames if frame["type"] == "history" and frame["step"] == 1_000_000]
                return {frame["loop"]: frame for frame in reversed(frames)}

            found = viewer.until(lambda: past() if len(past()) == 2 else None, "the history")
            process, of_loop = found[0]["columns"], found[1]["columns"]
            assert abs(found[0]["from"] - viewer.first["counted"]) < 3_000_000
            assert len({len(column) for column in process.values()}) == 1 and len(process["rss"]) >= 2
            assert sum(process["births"]) >= 20 and sum(process["failures"]) == 1 and min(process["rss"]) > 1000
            assert max(of_loop["lag"]) >= 250_000
            assert sum(of_loop["utilization"]) >= 300 and max(of_loop["utilization"]) <= 1000
            assert process["waiting"][-1] >= 20 and process["scheduled"][-1] == 0
            assert (set(of_loop["ready"]) == {-1}) == (loop == "uvloop")  # its queue has callbacks that no hook sees
            rows = len([frame for frame in viewer.frames if frame["type"] == "history"])
            viewer.until(
                lambda: len([frame for frame in viewer.frames if frame["type"] == "history"]) >= rows + 2, "new rows"
            )

        def said() -> str:
            program.say()
            return program.line()

        wait_until(lambda: said() == "True 0 call_soon run", "the viewer to be gone, the hooks to be in")


def test_steps_that_uvloop_has_to_run_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    body = """
        async def ends():
            pass

        async def waits(future):
            await future

        def counted(which=""):
            from _looptop_probes.history.recorder import _running_and_scheduled
            print(which, *_running_and_scheduled(sys._looptop_probe.loops.all()), flush=True)

        async def main():
            loop = asyncio.get_running_loop()
            counted("alone")
            tasks = [asyncio.create_task(ends()) for _ in range(7)]
            loop.call_soon(print)
            counted("born")
            await asyncio.gather(*tasks)
            futures = [loop.create_future() for _ in range(5)]
            waiting = [asyncio.create_task(waits(future)) for future in futures]
            await asyncio.sleep(0)
            counted("waiting")
            for future in futures[:3]:
                future.set_result(None)
            futures[3].cancel()
            counted("woken")
            loop.call_soon(counted, "callback")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            counted("run")

        run(main())
    """
    with Program(source(body, UVLOOP), folder=tmp_path, env={"LOOPTOP_PURE": "0"}) as program:
        for line in ("alone 1 0", "born 1 7", "", "waiting 1 0", "woken 1 4", "callback 0 1", "run 1 0"):
            program.expect(line)


def test_hooks_in_python_begin_with_the_viewer(tmp_path: Path) -> None:
    with Program(source(BODY), folder=tmp_path, env={"LOOPTOP_PURE": "1"}) as program:
        program.expect("ready")
        with program.viewer(history=True) as viewer:
            assert "history" not in viewer.first["capabilities"] and viewer.first["counted"] is None
            assert viewer.first["hooks"] == "pure Python (LOOPTOP_PURE is set)"
            assert viewer.named("early-1")["counted"] is not None
            assert not [frame for frame in viewer.frames if frame["type"] == "history"]


def test_nothing_is_remembered_when_that_is_switched_off(tmp_path: Path) -> None:
    settings = {"LOOPTOP_HISTORY": "off", "LOOPTOP_KEEP_BOX": "1"}
    with Program(source(BODY), folder=tmp_path, env=settings) as program:
        program.expect("ready")
        program.say()
        program.expect("False 0 ")
        wait_until(lambda: program.err, "the reason why there is no black box")
        assert program.stderr == "looptop: no black box: history is off"
        with program.viewer(history=True) as viewer:
            assert "history" not in viewer.first["capabilities"]
            assert viewer.named("early-1")["counted"] is not None
            # From `looptop arm` on it is.
            assert viewer.ask("arm")[0]["ok"]
            assert len(list(program.directory.glob("*.box"))) == 1


def test_a_live_task_takes_at_most_250_bytes(tmp_path: Path) -> None:
    """Exactly, by the sizes of what the probe keeps of it: resident memory depends on how the kernel places pages."""
    body = """
        async def waits(event):
            await event.wait()

        async def main():
            number = 30_000
            event = asyncio.Event()
            tasks = [asyncio.create_task(waits(event)) for _ in range(number)]
            probe = sys._looptop_probe
            await asyncio.sleep(0)
            while len(probe.sampler.by_id) < number:
                await asyncio.sleep(0.1)
            from _looptop_probes.hooks import install
            records = [install.record_of(task) for task in tasks]
            fields = "coro failure histogram label name origin source".split()
            assert not [record for record in records for name in fields if getattr(record, name) is not None]
            tables = sys.getsizeof(install.records) + sys.getsizeof(probe.sampler.by_id)
            print(sum(map(sys.getsizeof, records)) / number + tables / number, probe.history.size(), flush=True)
            event.set()
            await asyncio.gather(*tasks)

        run(main())
    """
    with Program(source(body), folder=tmp_path, env={"LOOPTOP_PURE": "0"}) as program:
        each, history = program.line().split()
        assert 200 < float(each) <= 250
        assert 0 < int(history) < 4 << 20


REQUESTS = """
    import types

    class Request:
        match_info = None

        def __init__(self, path):
            resource = types.SimpleNamespace(canonical=path)
            route = types.SimpleNamespace(resource=resource, _resource=resource)
            self._match_info, self._method = types.SimpleNamespace(route=route, _route=route), "GET"
            self.method = self._method

    async def handle(request):
        if request.fails:
            raise ValueError
        return types.SimpleNamespace(status=request.status, _status=request.status), False

    handle.__code__ = handle.__code__.replace(
        co_qualname="RequestHandler._handle_request", co_filename="/x/site-packages/aiohttp/web_protocol.py"
    )

    async def main():
        from _looptop_probes.hooks import groups, install
        probe, none = sys._looptop_probe, types.SimpleNamespace(ended=0)

        def site():
            return max(probe.sampler.site_counts.copy().values(), key=lambda counts: counts.ended, default=none)

        async def ask(number):
            for one in range(number):
                request = Request(f"/{one % 2}")
                request.status = 500 if one % 4 == 1 else 200
                request.fails = one % 10 == 9
                task = asyncio.Task(handle(request), loop=asyncio.get_running_loop(), eager_start=True)
                assert task.done()
                assert request.fails == (task.exception() is not None)
                assert install.record_of(task) is None

        await ask(20)
        while site().ended < 20:
            await asyncio.sleep(0.05)  # then the site of these tasks is known
        install.state.named = 1 << 30  # so they are not reported by name: no record is made of them
        await ask(20)
        kept = [group for group in groups.groups.by_number.values() if group.label and group.ended]
        print(sorted((group.label, group.ended, group.failed, group.responses, group.errors) for group in kept))
        print(sum(group.live for group in groups.groups.by_number.values() if group.coro == handle.__qualname__))
        while site().ended < 40:
            await asyncio.sleep(0.05)
        counts = site()
        print(counts.born, counts.ended, counts.failed, counts.steps)

    asyncio.run(main())
"""


def test_requests_that_never_wait_have_their_label(python: str, tmp_path: Path) -> None:
    """As aiohttp starts them from 3.12 on: the coroutine has ended when the task is known."""
    if version_of(python) < (3, 12):
        pytest.skip("no task starts eagerly before 3.12")
    with Program(source(REQUESTS, ""), folder=tmp_path, python=python, env={"LOOPTOP_PURE": "0"}) as program:
        assert program.line() == "[('GET /0', 20, 0, 20, 0), ('GET /1', 20, 4, 16, 8)]", program.err
        assert program.line() == "0", program.err
        assert program.line() == "40 40 4 40", program.err
