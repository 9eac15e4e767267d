"""Post mortem: what local names held when a task failed, bounded and masked, and nothing of the program's runs for it."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
from interpreters import VERSIONS, find_python
from watched import Program

from probes.base import local_values
from probes.base.local_values import MASKED, locals_of, show
from probes.hooks.records import Failure


class Loud:
    """Shouts when anything of it is run."""

    def __repr__(self):
        raise AssertionError("repr was run")

    __str__ = __len__ = __iter__ = __hash__ = __getattr__ = __bool__ = __eq__ = __repr__


class LoudMeta(type):
    __module__ = property(lambda cls: pytest.fail("module was run"))
    __name__ = property(lambda cls: pytest.fail("name was run"))


class LoudDict(dict):
    items = keys = __iter__ = __repr__ = Loud.__repr__


def texts():
    return [
        (1, "1"),
        (None, "None"),
        ("é\n", "'é\\n'"),
        (b"\xff", "b'\\xff'"),
        ([1, (2,), {3}, {}], "[1, (2,), {3}, {}]"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        (range(3), "range(0, 3)"),
        (10**1000, "<int of 3322 bits>"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (1000 items)]"),
        ([[[[1]]]], "[[[[…]]]]"),
        (Loud(), f"<{__name__}.Loud>"),
        ([Loud(), LoudDict(a=1)], f"[<{__name__}.Loud>, <{__name__}.LoudDict>]"),
        (LoudMeta("Made", (), {})(), f"<{__name__}.Made>"),
        (type("Odd", (), {"__module__": Loud()})(), "<Odd>"),
        ({"user": "me", "password": "x", b"token": 1}, f"{{'user': 'me', 'password': {MASKED}, b'token': {MASKED}}}"),
        ([("Authorization", "Basic abc")], f"[('Authorization', {MASKED})]"),
        ("postgres://me:hunter2@db/x", f"'postgres://me:{MASKED}@db/x'"),
        ("GET /?api_key=abc123&x=1", f"'GET /?api_key={MASKED}&x=1'"),
        ('{"password": "hunter2"}', f'\'{{"password": "{MASKED}"}}\''),
        ("Authorization: Bearer abc.def.ghi", f"'Authorization: Bearer {MASKED}'"),
        (b"token=abc", f"b'token={MASKED}'"),
    ]


def test_values_as_text():
    assert [show(value) for value, _ in texts()] == [text for _, text in texts()]


def test_a_value_is_bounded_whatever_it_is():
    loop = []
    loop.append(loop)
    for value in ("x" * 10**8, b"x" * 10**8, loop, dict.fromkeys(range(10**5), "y" * 1000), ["z" * 10**6] * 10**6):
        assert len(show(value)) <= local_values.MOST_TEXT


@pytest.mark.parametrize(
    "name", ["password", "db_passwd", "apiKey", "API_KEY", "userToken", "auth", "session_id", "dsn", "jwt"]
)
def test_names_that_look_like_secrets(name):
    source = f"def fails(value):\n    {name} = value\n    raise KeyError\n"
    made = {}
    exec(compile(source, "app.py", "exec"), made)
    names = locals_of(caught(made["fails"], "hunter2"))[-1]
    assert names == [["value", "'hunter2'"], [name, MASKED]]


@pytest.mark.parametrize("name", ["author", "session", "compass", "spinner", "path", "key", "authors_list"])
def test_names_that_do_not(name):
    assert not local_values._is_secret(name)


def caught(call, *args):
    try:
        call(*args)
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def test_only_the_innermost_frames_and_a_bounded_whole():
    def deep(n, text):
        more = text * 3
        return deep(n - 1, text) if n else more / 0

    found = locals_of(caught(deep, 80, "x" * 150))
    kept = [names for names in found if names is not None]
    assert len(found) == 82
    assert found[-1] is not None
    assert found[0] is None
    assert len(kept) <= local_values.MOST_FRAMES
    assert sum(len(name) + len(text) for names in kept for name, text in names) < 2 * local_values.MOST_OF_ALL


def test_many_names():
    made = {}
    exec("def f():\n" + "".join(f"    n{i} = {i}\n" for i in range(100)) + "    1/0", made)
    names = locals_of(caught(made["f"]))[-1]
    assert len(names) == local_values.MOST_NAMES + 1
    assert names[-1] == ["…", "more names are not kept"]


def test_it_holds_nothing_of_the_program():
    class Thing:
        pass

    def fails():
        thing = Thing()
        watched.append(weakref.ref(thing))
        raise KeyError

    watched = []
    error = caught(fails)
    locals_of(error)
    import traceback

    traceback.clear_frames(error.__traceback__)
    gc.collect()
    assert watched[0]() is None


def test_what_the_program_got_of_locals_stays_what_it_was():
    def fails():
        before = 1
        snapshot.update(mine=locals())
        before = 2
        after = 3
        raise KeyError(before, after)

    snapshot = {}
    error = caught(fails)
    locals_of(error)
    got = dict(snapshot["mine"])
    assert got["before"] == 1
    assert "after" not in got


def test_off_unless_wanted(monkeypatch):
    error = caught(lambda: 1 / 0)
    assert Failure(error).locals is None
    monkeypatch.setattr(local_values, "wanted", True)
    kept = Failure(error)
    assert len(kept.locals) == len(kept.traceback)


PROGRAM = """
import asyncio, sys

class Order:
    def __repr__(self):
        print("repr was run")
        return "?"

async def inner(order, password):
    item = {"n": 7, "token": "sk-live"}
    await asyncio.sleep(0)
    raise ValueError("bad order")

async def outer():
    await inner(Order(), "hunter2")

async def main():
    for line in sys.stdin:
        task = asyncio.create_task(outer(), name="order")
        try:
            await task
        except ValueError:
            print("failed")
        sys.stdout.flush()

asyncio.run(main())
"""


def ended(viewer):
    return [event for event in viewer.of_kind("task_ended") if event["name"] == "order"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_viewer_asks_for_them_and_nobody_else_does(tmp_path, version):
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    with Program(PROGRAM, folder=tmp_path, python=python) as program, program.viewer() as viewer:
        assert "locals" in viewer.first["capabilities"]
        viewer.ticks(1)
        program.say()
        viewer.until(lambda: len(ended(viewer)) == 1, "an end")
        assert "locals" not in ended(viewer)[0]["exception"]
        with program.viewer(locals=True) as other:
            other.ticks(2)
            program.say()
            viewer.until(lambda: len(ended(viewer)) == 2, "another end")
            raised = ended(viewer)[1]["exception"]
            functions = [viewer.site(number)[2] for number in raised["traceback"]]
            assert functions == ["outer", "inner"]
            assert raised["locals"][0] == []
            names = dict(raised["locals"][1])
            assert names == {"order": "<__main__.Order>", "password": MASKED, "item": f"{{'n': 7, 'token': {MASKED}}}"}
        viewer.ticks(2)
        program.say()
        viewer.until(lambda: len(ended(viewer)) == 3, "an end without")
        assert "locals" not in ended(viewer)[2]["exception"]
        program.process.stdin.close()
        assert program.end() == 0
        assert program.stdout.split() == ["failed"] * 3
        assert "hunter2" not in repr(viewer.frames)


def test_the_setting_keeps_them_and_control_off_lets_nobody_ask(tmp_path):
    with Program(PROGRAM, folder=tmp_path, settings={"locals": True}) as program, program.viewer() as viewer:
        viewer.ticks(1)
        program.say()
        viewer.until(lambda: ended(viewer), "an end")
        assert ended(viewer)[0]["exception"]["locals"]
    refusing = Program(PROGRAM, folder=tmp_path, settings={"control": False})
    with refusing as program, program.viewer(locals=True) as viewer:
        assert "locals" not in viewer.first["capabilities"]
        viewer.ticks(1)
        program.say()
        viewer.until(lambda: ended(viewer), "an end")
        assert "locals" not in ended(viewer)[0]["exception"]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="locals() is a snapshot of its own there (PEP 667)")
def test_a_function_that_calls_locals_is_left_alone():
    def fails():
        names = locals()
        raise KeyError(names)

    assert locals_of(caught(fails))[-1][0][0] == "…"
