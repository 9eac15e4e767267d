"""Which files are checked, which lines are skipped, and what is not Python."""

import random
import sys

import pytest

from monitor.check.analysis import CheckOptions, check, check_source
from monitor.errors import UsageError

DROPPED = "import asyncio\nasync def f():\n    asyncio.create_task(f())\n"


@pytest.fixture
def project(tmp_path):
    for name in ("a.py", "sub/b.py", "venv/c.py", ".hidden/d.py", "sub/made_pb2.py", "own/e.py", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(DROPPED)
    (tmp_path / "own" / "pyvenv.cfg").write_text("")
    return tmp_path


def names(report):
    return [one.path.rpartition("/")[2] for one in report.found]


def test_folders_are_searched_but_not_environments_and_hidden_ones(project):
    assert names(check([str(project)], CheckOptions())) == ["a.py", "b.py", "made_pb2.py"]
    assert names(check([str(project)], CheckOptions(exclude=("*_pb2.py",)))) == ["a.py", "b.py"]
    assert names(check([str(project)], CheckOptions(exclude=("sub",)))) == ["a.py"]


def test_a_file_that_is_named_is_looked_at_whatever_it_is_called_and_once(project):
    assert names(check([str(project / "notes.txt"), str(project / "notes.txt")], CheckOptions())) == ["notes.txt"]


def test_select_and_ignore(project):
    path = [str(project / "a.py")]
    assert names(check(path, CheckOptions(select=("LT1",)))) == ["a.py"]
    assert names(check(path, CheckOptions(select=("RUF006",)))) == ["a.py"]
    assert names(check(path, CheckOptions(select=("LT0",)))) == []
    assert names(check(path, CheckOptions(ignore=("LT10",)))) == []
    with pytest.raises(UsageError, match="no such rule: LT77"):
        check(path, CheckOptions(ignore=("LT77",)))


@pytest.mark.parametrize(
    ("comment", "left_alone"),
    [
        ("# noqa", True),
        ("# noqa: LT10", True),
        ("#noqa:LT11,LT10", True),
        ("# noqa: E501, RUF006 - kept by the loop", True),
        ("# noqa: LT11", False),
        ("# nothing", False),
    ],
)
def test_noqa(comment, left_alone):
    assert check_source(f"import asyncio\nasyncio.create_task(f())  {comment}\n".encode(), "x") == [] or not left_alone
    assert bool(check_source(f"import asyncio\nasyncio.create_task(f())  {comment}\n".encode(), "x")) != left_alone


def test_the_python_is_what_the_project_requires(project):
    assert check([str(project)], CheckOptions()).python == sys.version_info[:2]
    (project / "pyproject.toml").write_text('[project]\nrequires-python = ">= 3.9, <4"\n')
    assert check([str(project / "sub")], CheckOptions()).python == (3, 9)
    assert check([str(project)], CheckOptions(python=(3, 13))).python == (3, 13)


def test_columns_are_characters():
    (one,) = check_source("import asyncio\néé = 1; asyncio.create_task(f())  # é\n".encode(), "x")
    assert (one.line, one.column, one.end_column) == (2, 9, 33)


@pytest.mark.parametrize(
    "content",
    [
        b"def (",
        b"\x00",
        b"# coding: nonsense\n",
        b"\xff\xfe\x00",
        b"x = '\xe9'",
        b"print 'x'",
        b"(" * 500,
        b"x = " + b"-" * 50_000 + b"1",
        b"asyncio.async(",
    ],
)
def test_what_is_no_python_is_a_finding_and_no_crash(content):
    assert [one.code for one in check_source(content, "x")] == ["LT00"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbfx = 1\n", b"# coding: latin-1\nx = '\xe9'\n", b"x = 1\r\n" * 3])
def test_other_encodings_and_line_ends(content):
    assert check_source(content, "x") == []


def test_long_and_deep_sources_end():
    long = "async def f(self):\n" + "    v = self.x\n    await g()\n    self.x = v\n" * 2000
    assert len(check_source(long.encode(), "x")) == 2000
    deep = (
        "async def f(self):\n"
        + "".join("    " * (n + 1) + f"for i{n} in x:\n" for n in range(18))
        + "    " * 20
        + "await g()\n"
    )
    assert check_source(deep.encode(), "x") == []
    sum_ = "async def f(self):\n    self.x = " + " + ".join(["1"] * 20_000) + "\n"
    assert {one.code for one in check_source(sum_.encode(), "x")} <= {"LT00"}


def test_pieces_of_real_sources_never_crash_it():
    chance = random.Random(5)
    text = (
        DROPPED + "class A:\n    async def g(self):\n        async with self.lock:\n            self.x += await f()\n"
    ) * 3
    for _ in range(300):
        a, b = sorted(chance.sample(range(len(text)), 2))
        check_source((text[:a] + text[b:]).encode(), "x")
