"""Samples for flame graphs: shares that a program plants come out, under the task that ran; waits by their stacks."""

import json
import sys
from collections import defaultdict
from importlib.util import find_spec

import pytest
from interpreters import VERSIONS, find_python
from waiting import wait_until
from watched import Program

PLANTED = """
    import asyncio, json, os, sys, time

    def burn(seconds):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass

    def half(seconds):
        burn(seconds)

    def third(seconds):
        burn(seconds)

    def fifth(seconds):
        burn(seconds)

    def tiny(seconds):
        burn(seconds)

    def small(seconds):
        burn(seconds)

    NAMES = ("tiny", "small", "half") if sys.argv[1] == "short" else ("half", "third", "fifth")
    spent = dict.fromkeys(NAMES, 0.0)
    told = 0.0

    def timed(work, seconds):
        global told
        began = time.perf_counter()
        work(seconds)
        ended = time.perf_counter()
        spent[work.__name__] += ended - began
        if ended > told + 0.2:
            told = ended
            with open("spent.new", "w") as file:
                json.dump(spent, file)
            os.replace("spent.new", "spent.json")

    class Worker:
        async def deep(self, work, share, io):
            await self.step(work, share, io)

        async def step(self, work, share, io):
            for step in (0.2e-3, 0.3e-3, 0.5e-3):
                timed(work, step * share)
                if io == "io":
                    os.stat("/")
                    await asyncio.sleep(0)
                    os.write(PIPE, b"x")
                else:
                    await asyncio.sleep(0)

    async def plain(io):
        worker = Worker()
        while True:
            await worker.deep(half, 1.0, io)
            await worker.deep(third, 0.6, io)
            await worker.deep(fifth, 0.4, io)

    def down(depth):
        if depth:
            return down(depth - 1)
        burn(0.3)

    async def recursion():
        sys.setrecursionlimit(20_000)
        while True:
            await asyncio.sleep(0.05)
            down(10_000)

    async def main():
        print("ready", flush=True)
        if sys.argv[1] == "short":
            steps = 20 * [(tiny, 15e-6)] + 3 * [(small, 50e-6)] + [(half, 150e-6)]
            await asyncio.gather(*(again(work, seconds) for work, seconds in steps))
        elif sys.argv[1] == "waiting":
            await asyncio.gather(*(one() for _ in range(3300)), *(two() for _ in range(1650)), nap())
        elif sys.argv[1] == "recursion":
            await asyncio.create_task(recursion())
        else:
            await asyncio.create_task(plain(sys.argv[1]))

    async def again(work, seconds):
        while True:
            await inside(work, seconds)

    async def inside(work, seconds):
        timed(work, seconds)
        await asyncio.sleep(0)

    async def one():
        await inner()

    async def inner():
        await asyncio.Event().wait()

    async def two():
        await asyncio.get_running_loop().create_future()

    async def nap():
        while True:
            await asyncio.sleep(0.01)

    PIPE = os.open("/dev/null", os.O_WRONLY)
    if sys.argv[2] == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
"""


# A frame whose link to its caller is not there yet, is an old one, or leads to where no sum may wrap, for as long as a
# call into C takes. Threads with the GIL, which believe such links, get it only between two of them.
TORN = """
    import asyncio, ctypes, sys, time

    spin, PREVIOUS = ctypes.PyDLL(None).usleep, 48 if sys.version_info < (3, 12) else 8
    WORD = ctypes.POINTER(ctypes.c_size_t)

    def frame_of(frame):
        return ctypes.cast(id(frame) + 24, WORD)[0]

    def torn(to, microseconds):
        link = ctypes.cast(frame_of(sys._getframe()) + PREVIOUS, WORD)
        link[0], kept = to, link[0]
        spin(microseconds)
        link[0] = kept

    def whole(microseconds):
        spin(microseconds)

    async def main():
        loop = sys._getframe(1)
        while loop.f_code.co_name != "_run_once":
            loop = loop.f_back
        loop = frame_of(loop)
        sys.setswitchinterval(1000)
        print("ready", flush=True)
        while True:
            for to in (0, loop, 2**64 - 8, 2**64 - 64):
                torn(to, 10_000)
                whole(10_000)
                await asyncio.sleep(0.005)

    asyncio.run(main())
"""


MIXED = """
    import asyncio, concurrent.futures, hashlib, sys, threading, time

    pool = concurrent.futures.ThreadPoolExecutor(2)

    def burn(seconds):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass

    def in_a_thread(seconds):
        time.sleep(seconds)

    def also_in_a_thread(seconds):
        time.sleep(seconds)

    def parts():
        for _ in range(5):
            burn(0.002)
            yield

    async def numbers():
        for _ in range(5):
            burn(0.002)
            yield 1

    def extension():
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 20_000)

    async def asking():
        while True:
            await asyncio.to_thread(in_a_thread, 0.2)

    async def also_asking():
        while True:
            await asyncio.get_running_loop().run_in_executor(pool, also_in_a_thread, 0.01)

    async def labelled(label):
        sys._looptop_probe.labels.name_current(label)
        while True:
            burn(0.002)
            await asyncio.sleep(0.004)

    async def worker():
        while True:
            for _ in parts():
                pass
            async for _ in numbers():
                pass
            extension()
            await asyncio.sleep(0.005)

    async def short():
        await asyncio.sleep(0.001)

    async def shorts():
        while True:
            tasks = [asyncio.create_task(short()) for _ in range(5)]
            await asyncio.gather(*tasks)

    def on_another_stack():
        burn(0.005)

    async def greenlets():
        import greenlet
        while True:
            greenlet.greenlet(on_another_stack).switch()
            await asyncio.sleep(0.005)

    async def main():
        await asyncio.create_task(short())  # its end is counted by creation site, too, before the groups of the others
        tasks = [asyncio.create_task(one) for one in (asking(), also_asking(), worker(), shorts())]
        for label in ("red", "blue"):
            tasks.append(asyncio.create_task(labelled(label)))
        if sys.argv[1] == "greenlets":
            tasks.append(asyncio.create_task(greenlets()))
        print("ready", flush=True)
        await asyncio.gather(*tasks)

    asyncio.run(main())
"""


def python(version):
    found = find_python(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    return found


def flames(viewer, part):
    """Rows of all ticks so far, with names: (group, functions outermost first) to seconds."""
    found = defaultdict(float)
    for frame in viewer.frames:
        for row in (frame.get("flame") or {}).get(part, ()):
            group, sites, microseconds = row[:3] if part == "waiting" else row[1:4]
            found[viewer.strings[group], tuple(viewer.site(site)[2] for site in sites)] += microseconds * 1e-6
    return found


def spent(folder):
    """Seconds that the program itself has measured: on a busy machine its steps take longer than planted."""
    path = folder / "spent.json"
    wait_until(path.exists, "the program's own figures")
    return json.loads(path.read_text())


def percentages(seconds):
    return {name: round(100 * one / sum(seconds.values()), 1) for name, one in seconds.items()}


def shares(viewer, names):
    total = dict.fromkeys(names, 0.0)
    for (_, functions), seconds in flames(viewer, "on_loop").items():
        for name in names:
            if name in functions:
                total[name] += seconds
    return percentages(total)


def expect_planted(viewer, folder, before, enough):
    """Waits until shares are within 5 points of those that the program measured: on a busy machine some are far from it
    at first, since a delay of one thread weighs much then."""
    planted = {}

    def near():
        if sum(flames(viewer, "on_loop").values()) < 2.5:
            return False
        planted.update(percentages({name: after - before[name] for name, after in spent(folder).items()}))
        return shares(viewer, planted) == pytest.approx(planted, abs=5) and enough(planted)

    viewer.until(near, "the planted shares", 120)
    return planted


def not_read(viewer):
    """Percentage of the time in stacks of which a part was not read."""
    rows = flames(viewer, "on_loop").items()
    part = sum(seconds for (_, functions), seconds in rows if "(not read)" in functions)
    return 100 * part / sum(seconds for _, seconds in rows)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("io", ["no", "io"])
def test_planted_shares_come_out(tmp_path, version, io):
    with Program(PLANTED, io, "asyncio", folder=tmp_path, python=python(version)) as program:
        program.expect("ready")
        before = spent(tmp_path)
        with program.viewer(flame=1000) as viewer:

            def enough(planted):
                groups = defaultdict(float)
                for (group, _), seconds in flames(viewer, "on_loop").items():
                    groups[group] += seconds
                right = list(planted.values()) == pytest.approx([50, 30, 20], abs=15)
                return right and not_read(viewer) < 10 and groups["plain"] > 0.95 * sum(groups.values())

            expect_planted(viewer, tmp_path, before, enough)
            for _, functions in flames(viewer, "on_loop"):
                if "burn" in functions:
                    whole = functions[:3] == ("plain", "Worker.deep", "Worker.step")
                    assert whole or functions[:2] == ("plain", "(not read)"), functions
            rows = [row for frame in viewer.frames for row in (frame.get("flame") or {}).get("on_loop", ())]
            tasks = {row[0] for row in rows if viewer.strings[row[1]] == "plain" and row[2]}
            assert {viewer.facts[task]["coro"] for task in tasks} == {viewer.named("Task-2")["coro"]}
            lines = {viewer.site(row[2][0])[1] for row in rows if viewer.strings[row[1]] == "plain" and row[2]}
            source = (tmp_path / "program.py").read_text().splitlines()
            assert {source[line - 1].strip()[:17] for line in lines} <= {"await worker.deep", "while True:"}


@pytest.mark.parametrize("version", VERSIONS)
def test_short_steps_are_not_left_out(tmp_path, version):
    """Steps of 15 and 50 µs, which are over before their stack has been read: half, and a quarter, of the time."""
    with Program(PLANTED, "short", "asyncio", folder=tmp_path, python=python(version)) as program:
        program.expect("ready")
        before = spent(tmp_path)
        with program.viewer(flame=1000) as viewer:
            expect_planted(viewer, tmp_path, before, lambda _: not_read(viewer) < 50)
            assert not sum((frame.get("flame") or {}).get("lost", 0) for frame in viewer.frames)


@pytest.mark.parametrize("version", VERSIONS)
def test_of_torn_stacks_the_task_and_the_innermost_frame_are_kept(tmp_path, version):
    with Program(TORN, folder=tmp_path, python=python(version)) as program:
        program.expect("ready")
        with program.viewer(flame=1000) as viewer:
            viewer.until(lambda: sum(flames(viewer, "on_loop").values()) > 0.2, "samples of what is whole")
            torn = "main", ("main", "(not read)", "torn")
            viewer.until(lambda: flames(viewer, "on_loop")[torn] > 0.1, "samples of what is torn")
            found = {stack for stack in flames(viewer, "on_loop") if {"torn", "whole"} & {*stack[1]}}
            # While a chain is being torn, what tears it is seen as well.
            whole = {(group, functions[:2]) for group, functions in found - {torn}}
            assert whole <= {("main", ("main", "torn")), ("main", ("main", "whole"))}, found


@pytest.mark.parametrize("version", VERSIONS)
def test_whose_samples_they_are(tmp_path, version):
    """Groups, labels, creation sites; jobs of executors under the task that asked; generators, C, greenlets."""
    greenlets = "greenlets" if version == "{}.{}".format(*sys.version_info) and find_spec("greenlet") else "no"
    with Program(MIXED, greenlets, folder=tmp_path, python=python(version)) as program:
        program.expect("ready")
        with program.viewer(flame=500, flame_jobs=True) as viewer:
            source = (tmp_path / "program.py").read_text().splitlines()

            def seen():
                """Stacks by group and label, and lines where their tasks were made."""
                found = defaultdict(set), defaultdict(set), defaultdict(set)
                for frame in viewer.frames:
                    for place, part in enumerate(("on_loop", "jobs")):
                        for task, group, stack, _, _, label, site in (frame.get("flame") or {}).get(part, ()):
                            whose = viewer.strings[group], viewer.strings[label] if label else None
                            found[place][whose] |= {tuple(viewer.site(one)[2] for one in stack)}
                            found[2][whose] |= {source[viewer.site(site)[1] - 1].strip()} if site else set()
                            if part == "jobs" and task:
                                assert viewer.facts[task]["coro"] == group
                return found

            wanted = [
                (0, ("worker", None), ("worker", "parts", "burn")),
                (0, ("worker", None), ("worker", "numbers", "burn")),
                (0, ("worker", None), ("worker", "extension")),
                (0, ("labelled", "red"), ("labelled", "burn")),
                (0, ("labelled", "blue"), ("labelled", "burn")),
                (1, ("asking", None), ("in_a_thread",)),
                (1, ("also_asking", None), ("also_in_a_thread",)),
            ]
            if greenlets != "no":
                wanted.append((0, ("greenlets", None), ("(greenlet)", "on_another_stack", "burn")))
            found = viewer.until(
                lambda: (s := seen()) and all(stack in s[place][whose] for place, whose, stack in wanted) and s,
                "samples of everything",
            )
            assert found[2]["labelled", "red"] == {"tasks.append(asyncio.create_task(labelled(label)))"}
            assert found[2]["worker", None] == {
                "tasks = [asyncio.create_task(one) for one in (asking(), also_asking(), worker(), shorts())]"
            }


def test_short_waits_are_counted_in_full(tmp_path, python):
    with Program(MIXED, "no", folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(flame_wait=True, groups=True) as viewer:

            def waited():
                """Seconds of the tasks that come and go, between two ticks: by stacks, and by the counts of their group."""
                names, sums = viewer.schema["group_row"], []
                for frame in viewer.frames:
                    for row in (frame.get("groups") or {}).get("rows", ()):
                        if viewer.strings[row[names.index("coro")]] == "short":
                            sums.append((frame["at"], row[names.index("sums")][3] * 1e-6))
                if len(sums) < 2:
                    return 0.0, 0.0
                by_stack = sum(
                    row[2] * 1e-6
                    for frame in viewer.frames
                    if sums[0][0] < frame.get("at", 0) <= sums[-1][0]
                    for row in (frame.get("flame") or {}).get("waiting", ())
                    if viewer.strings[row[0]] == "short"
                )
                return by_stack, sums[-1][1] - sums[0][1]

            viewer.until(
                # One of both may come a tick before the other.
                lambda: (w := waited())[1] > 1.0 and w[0] == pytest.approx(w[1], rel=0.05) and w,
                "what short tasks waited, in full",
            )


RESTS = """
    import asyncio, sys, time

    record_of = sys.modules["_looptop_probes.hooks.accounting"].record_of

    began = 0.0

    async def rests():
        global began
        await asyncio.sleep(0)
        began = time.monotonic()
        await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(rests())
        for _ in range(3):
            before = time.monotonic()
            await asyncio.sleep(0.01)
        at, now = record_of(task).rested_at, time.monotonic()
        print("right" if began - 0.001 < at < before else (began, at, now), flush=True)

    asyncio.run(main())
"""


# Looked at four times a second: each task waits at three lines many times from one look to the next, or is over.
ALTERNATES = """
    import asyncio, sys, time
    from types import SimpleNamespace

    def ours(name):
        __import__("_looptop_probes." + name)
        return sys.modules["_looptop_probes." + name]

    PLACES = "first", "second", "third"
    spent, since = {}, {}

    def wake(future, key):
        spent[key] = spent.get(key, 0.0) + time.monotonic() - since.pop(future)[1]
        future.set_result(None)

    async def rest(key, seconds):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        since[future] = key, time.monotonic()
        loop.call_later(seconds, wake, future, key)
        await future

    async def first(who):
        await rest((who, "first"), 0.005)

    async def second(who):
        await rest((who, "second"), 0.010)

    async def third(who):
        await rest((who, "third"), 0.015)

    async def alternates():
        while True:
            await first("alternates")
            await second("alternates")
            await third("alternates")

    async def short():
        await first("short")
        await second("short")
        await third("short")

    async def main():
        tables = ours("base.sites").Tables()
        waiting = ours("flame.waiting").Waiting(tables, ours("flame.askers").Askers(tables, lambda number: None))
        record = ours("hooks.accounting").record_of(asyncio.create_task(alternates()))
        waiting.switch(True, [record])
        found = {}

        async def look():
            waiting.merge(SimpleNamespace(live=[record], ended=[], gone=[]))
            waiting.look(time.monotonic())
            for key, (microseconds, _) in waiting.take(time.monotonic()).items():
                names = [tables.strings[tables.sites[site][2]] for site in key[4]]
                place = next((name for name in names if name in PLACES), None)
                if names and names[0] in ("alternates", "short") and place:
                    key = names[0], place
                    found[key] = found.get(key, 0.0) + microseconds * 1e-6

        def spent_by(now):
            table = dict(spent)
            for key, began in since.values():
                table[key] = table.get(key, 0.0) + now - began
            return table

        def shares(before, after, who):
            parts = [after.get((who, place), 0.0) - before.get((who, place), 0.0) for place in PLACES]
            return [part / sum(parts) if sum(parts) > 0.0 else 0.0 for part in parts]

        # On a busy machine a wait may be longer than this program notes: one undisturbed look is enough.
        right = False
        await look()
        while not right:
            planted, seen, until = spent_by(time.monotonic()), dict(found), time.monotonic() + 0.25
            while time.monotonic() < until:
                await asyncio.gather(short(), short(), short())
            await look()
            now = spent_by(time.monotonic())
            right = all(
                abs(one - other) < 0.05
                for who in ("alternates", "short")
                for one, other in zip(shares(planted, now, who), shares(seen, found, who))
            )
        print("right", flush=True)

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_waits_between_two_looks_are_told_apart(tmp_path, version):
    with Program(ALTERNATES, folder=tmp_path, python=python(version)) as program:
        program.expect("right")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_step_ring_says_since_when_a_task_rests(tmp_path, version):
    with Program(RESTS, folder=tmp_path, python=python(version)) as program:
        program.expect("right")


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ends_of_deep_recursion_are_kept(tmp_path, version):
    with Program(PLANTED, "recursion", "asyncio", folder=tmp_path, python=python(version)) as program:
        program.expect("ready")
        with program.viewer(flame=100) as viewer:

            def deep():
                return [functions for _, functions in flames(viewer, "on_loop") if functions[-1:] == ("burn",)]

            functions = viewer.until(deep, "samples of the recursion")[0]
            assert functions[:3] == ("recursion", "down", "down")
            assert functions[-2:] == ("down", "burn")
            assert functions.count("(deeper than is read)") == 1
            assert 150 < len(functions) <= 200
            assert max(viewer.sizes) < 1 << 20
            task = viewer.named("Task-2")["id"]
            rows = [row for frame in viewer.frames for row in (frame.get("flame") or {}).get("on_loop", ())]
            assert {row[0] for row in rows if len(row[2]) > 150} == {task}


def test_waits_are_weighted_by_time(tmp_path, python):
    with Program(PLANTED, "waiting", "asyncio", folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(flame_wait=True, rate=4) as viewer:

            def all_read():
                """The frames since all stacks have been read: 5,000 take a while, within the budget."""
                found = [frame for frame in viewer.frames if (frame.get("flame") or {}).get("waiting")]
                first = next((number for number, frame in enumerate(found) if not frame["flame"]["late"]), len(found))
                return found[first + 1 :]

            told = viewer.until(lambda: (f := all_read()) and len(f) > 1 and f, "what all tasks wait for", timeout=200)
            seconds = sum(row[2] for frame in told[1:] for row in frame["flame"]["waiting"] if row[3] > 1)
            # All of them, all the time; a late tick is a part of the span.
            assert seconds / (told[-1]["at"] - told[0]["at"]) == pytest.approx(4950, rel=0.4)
            viewer.frames[:] = [viewer.frames[0], *told]

            def right():
                """Whether the shares are those of the tasks: a tick that a crowded machine delays counts for less later."""
                by_stack = defaultdict(float)
                for (_, functions), seconds in flames(viewer, "waiting").items():
                    by_stack[functions] += seconds
                ones, twos, naps = by_stack["one", "inner", "Event.wait"], by_stack["two",], by_stack["nap", "sleep"]
                return ones / twos == pytest.approx(2, rel=0.05) and naps <= twos / 500

            viewer.until(right, "twice the time in one as in two, and next to none in nap")
            viewer.watch(flame_wait=False)
            viewer.ticks(2)
            before = len(viewer.frames)
            viewer.ticks(3)
            assert not any(frame.get("flame") for frame in viewer.frames[before:])


def test_without_the_hooks_in_c_the_reason_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPTOP_PURE", "1")
    with Program(PLANTED, "no", "asyncio", folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(flame=100) as viewer:
            found = viewer.until(
                lambda: [frame["flame"] for frame in viewer.frames if frame.get("flame")], "the reason why not"
            )[0]
            assert found["why_not"] == "samples need the hooks in C, which are not used here (LOOPTOP_PURE is set)"


def test_lines_of_a_copied_table_are_those_of_the_code():
    import inspect
    import json.decoder
    import textwrap
    import types

    from probes.base import sites
    from probes.flame.line_table import line_at

    def every(code):
        yield code
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from every(constant)

    checked = 0
    for module in (json.decoder, inspect, textwrap):
        for code in every(compile(inspect.getsource(module), module.__file__, "exec")):
            for unit in range(0, len(code.co_code) // 2, 3):
                assert line_at(code.co_linetable, code.co_firstlineno, unit) == sites.line_of(code, 2 * unit)
                checked += 1
    assert checked > 5000
