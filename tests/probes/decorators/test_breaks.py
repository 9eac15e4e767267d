"""The debugger's decorators: the function itself without LOOPTOP_DEBUG=1, the debugger at the right place with it."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import probes

ROOT = Path(__file__).parents[3]
DECORATORS = (probes.break_before, probes.break_after, probes.break_on_error)

PROGRAM = """
import asyncio, probes

@probes.{decorator}
async def coroutine(n):
    await asyncio.sleep(0)
    return 10 / n

@probes.{decorator}
def function(n):
    return 10 / n

@probes.{decorator}
def generator(n):
    got = yield 1
    return 10 / n

@probes.{decorator}
async def agenerator(n):
    try:
        got = yield "first"
        yield got
        yield 10 / n
    finally:
        await asyncio.sleep(0)

class K:
    @probes.{decorator}
    @classmethod
    def made(cls, n):
        return 10 / n

def whole(n):
    return (yield from generator(n))

async def one(n):
    print("coroutine", await coroutine(n))

async def two(n):
    g = agenerator(n)
    print(await g.__anext__(), await g.asend("sent"), await g.__anext__(), await anext(g, "end"))

def say(call):
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__)

for n in (5, 0):
    print("function", end=" "); say(lambda: function(n))
    print("generator", end=" "); say(lambda: list(whole(n)))
    say(lambda: asyncio.run(one(n)))
    say(lambda: asyncio.run(two(n)))
    print("method", end=" "); say(lambda: K.made(n))

async def closed():
    g = agenerator(1)
    await g.__anext__()
    await g.aclose()
    g = agenerator(1)
    await g.__anext__()
    try:
        await g.athrow(KeyError)
    except KeyError:
        print("thrown out")
asyncio.run(closed())
"""

HOOK = """
import sys
def hook():
    frame = sys._getframe(1)
    names = {k: v for k, v in frame.f_locals.items() if k in ("args", "kwargs", "result", "error")}
    print("HOOK", frame.f_code.co_name, sorted(names), names.get("result", ""), file=sys.stderr)
"""


def run(tmp_path, source, stdin="", **environ):
    (tmp_path / "program.py").write_text(textwrap.dedent(source))
    (tmp_path / "hooks.py").write_text(HOOK)
    env = {k: v for k, v in os.environ.items() if not k.startswith("LOOPTOP") and k != "PYTHONBREAKPOINT"}
    env |= {"PYTHONPATH": f"{ROOT}:{tmp_path}"} | environ
    return subprocess.run(
        [sys.executable, "program.py"], input=stdin, capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path
    )


@pytest.mark.parametrize("decorate", DECORATORS)
def test_without_the_variable_it_is_the_function_itself(decorate, monkeypatch):
    monkeypatch.delenv("LOOPTOP_DEBUG", raising=False)

    async def f(): ...

    method = classmethod(f)
    assert decorate(f) is f
    assert decorate(method) is method


@pytest.mark.parametrize("decorate", DECORATORS)
def test_with_it_a_function_keeps_kind_name_and_signature(decorate, monkeypatch):
    monkeypatch.setenv("LOOPTOP_DEBUG", "1")

    def plain(a: int, *, b: str = "") -> int:
        """Its text."""

    async def coroutine(a): ...

    def generator(a):
        yield a

    async def agenerator(a):
        yield a

    checks = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    for function in (plain, coroutine, generator, agenerator):
        wrapped = decorate(function)
        assert wrapped is not function
        assert [check(wrapped) for check in checks] == [check(function) for check in checks]
        assert inspect.signature(wrapped) == inspect.signature(function)
        assert (wrapped.__qualname__, wrapped.__doc__) == (function.__qualname__, function.__doc__)


@pytest.mark.parametrize("decorator", ["break_before", "break_after", "break_on_error"])
def test_the_program_says_the_same_with_and_without(tmp_path, decorator):
    source = PROGRAM.format(decorator=decorator)
    without = run(tmp_path, source)
    assert without.returncode == 0
    switched_off = run(tmp_path, source, LOOPTOP_DEBUG="1", PYTHONBREAKPOINT="0")
    hooked = run(tmp_path, source, LOOPTOP_DEBUG="1", PYTHONBREAKPOINT="hooks.hook")
    assert "first sent 2.0 end" in without.stdout
    assert without.stdout == switched_off.stdout == hooked.stdout
    assert without.stderr == switched_off.stderr
    lines = hooked.stderr.splitlines()
    calls = {"break_before": 12, "break_after": 5, "break_on_error": 5 + 1}[decorator]
    assert len(lines) == calls, lines
    assert all(line.startswith("HOOK wrapper") or decorator == "break_on_error" for line in lines)
    if decorator == "break_after":
        assert "'result'] 2.0" in lines[0]


def test_pdb_opens_before_the_call_and_steps_in(tmp_path):
    source = """
        import asyncio, probes
        @probes.break_before
        async def work(n):
            half = n / 2
            return half
        print("got", asyncio.run(work(8)))
    """
    done = run(tmp_path, source, "p args\ns\ns\ns\np n * 100\nc\n", LOOPTOP_DEBUG="1")
    assert "(8,)" in done.stdout
    assert "800" in done.stdout
    assert "got 4.0" in done.stdout


def test_pdb_opens_in_the_frame_that_raised(tmp_path):
    source = """
        import asyncio, probes
        def divide(n):
            secret = n * 7
            return secret / 0
        @probes.break_on_error
        async def work(n):
            await asyncio.sleep(0)
            return divide(n)
        try:
            asyncio.run(work(8))
        except ZeroDivisionError:
            print("it goes on to the caller")
        async def cancelled():
            task = asyncio.ensure_future(waits())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        @probes.break_on_error
        async def waits():
            await asyncio.sleep(60)
        asyncio.run(cancelled())
        print("no debugger for a cancellation")
    """
    done = run(tmp_path, source, "p secret\nq\n", LOOPTOP_DEBUG="1")
    assert "56" in done.stdout
    assert "it goes on to the caller" in done.stdout
    assert done.stdout.endswith("no debugger for a cancellation\n")
    assert "looptop: ZeroDivisionError" in done.stderr


def test_a_debugger_that_cannot_be_imported_is_pythons_warning_and_the_program_goes_on(tmp_path):
    source = """
        import probes
        @probes.break_on_error
        def f():
            raise KeyError("it")
        try:
            f()
        except KeyError:
            print("on")
    """
    done = run(tmp_path, source, LOOPTOP_DEBUG="1", PYTHONBREAKPOINT="nowhere.to_be_found")
    assert done.stdout == "on\n"
    assert "nowhere.to_be_found" in done.stderr
    assert done.returncode == 0
