"""Tables: whatever a task is called, a line is a line, no wider than the terminal, and nothing in it is a command."""

from dataclasses import replace

import pytest
from fake_probe import hello, static, tick
from rich.cells import cell_len

from monitor.attach.programs import Program
from monitor.plain.programs import programs
from monitor.plain.reports import heading_lines, tasks
from monitor.plain.snapshot import TaskList, chosen
from monitor.plain.tables import Heading, cut, fit, table
from monitor.plain.task_options import TaskOptions
from monitor.protocol import frames
from monitor.protocol.rows import TaskStaticRow
from monitor.store.columns import TASKS
from monitor.store.labels import site_text
from monitor.store.store import Store

HOSTILE = [
    "[/x]",
    "[@click=app.quit]b[/]",
    "[bold red]no[/bold red]",
    "名前がとても長いタスク",
    "👩‍👩‍👧‍👦 family 🚀",
    "\x1b[31mred\x1b[2J",
    "line\nbreak\r\ttab",
    "a\u202eevil\u202c",
    "zero\u200bwidth",
    "e\u0301 combining",
    "\ud800 lone",
    "x" * 10_000,
    "\x00\x07\x7f\x9b",
    "",
    "%s {0} \\[",
]


def apply(store, *told):
    import msgspec

    for frame in told:
        store.apply(frames.decode(msgspec.json.encode(frame)))
    return store


@pytest.fixture
def hostile():
    rows = [[n, name, 0, 1, None, None, 0, 0, 0] for n, name in enumerate(HOSTILE, 1)]
    store = apply(Store(), hello(name="[/x]", program="\x1b]0;x\x07[/y]"))
    apply(store, static(tasks=[[1, "x", 0, 1, None, None, 0, 0, 0]]))
    for row in rows:
        # Not through JSON: a lone surrogate cannot be encoded.
        store.tasks.apply_facts(TaskStaticRow(*row), store.tables, store.now)
    apply(store, tick(tasks=[[n, 2, 1, 1, 1, 1] for n in range(1, len(HOSTILE) + 1)]))
    return store


@pytest.mark.parametrize("width", [1, 20, 40, 80, 120, 400])
@pytest.mark.parametrize("tree", [False, True])
def test_hostile_names(hostile, width, tree):
    look = chosen(hostile, TaskOptions(sort="id", tree=tree))
    lines = tasks(look, width, colour=False)
    assert len([line for line in lines if "waiting" in line]) <= len(HOSTILE) + 1
    body = lines[len(heading_lines(hostile)) + 1 :]
    assert len(body) == len(HOSTILE) + 1
    for line in lines:
        assert line.isprintable(), line
        assert "\n" not in line
    if width >= 40:
        assert all(cell_len(line) <= width for line in body)


def test_names_are_not_markup(hostile):
    look = chosen(hostile, TaskOptions(sort="id"))
    text = "\n".join(tasks(look, 200, colour=True))
    for name in ("[/x]", "[@click=app.quit]b[/]", "[bold red]no[/bold red]"):
        assert name in text
    assert text.count("\x1b") == 2  # the heading is bold, and not more


def test_no_codes_without_colour(hostile):
    look = chosen(hostile, TaskOptions())
    assert "\x1b" not in "\n".join(tasks(look, 80, colour=False))


def test_columns_go_by_priority():
    store = apply(Store(), hello(), static(), tick())
    look = chosen(store, TaskOptions(sort="id"))
    titles = {}
    for width in (40, 80, 120, 200):
        heading = tasks(look, width, colour=False)[len(heading_lines(store)) + 1]
        titles[width] = {column.key for column in TASKS if column.title in heading}
    assert titles[40] <= titles[80] <= titles[120] <= titles[200]
    assert {"name", "state", "age", "busy"} <= titles[80]
    assert titles[200] == {column.key for column in TASKS}


def test_what_is_not_known_is_a_dash_and_a_lower_bound_says_so():
    store = apply(Store(), hello(), static(), tick())
    look = chosen(store, TaskOptions(sort="id"))
    lines = tasks(look, 200, colour=False)[-3:]
    assert "≥" not in lines[0]
    assert "≥40µs" in lines[1]
    assert lines[2].count("≥") == 2  # its age and how long it waits, since the probe came
    assert "–" in lines[2]


def test_a_tree_is_indented():
    store = apply(Store(), hello(), static(), tick())
    look = chosen(store, TaskOptions(sort="name", tree=True))
    assert [(task.name, look.depths[task.id]) for task in look.tasks] == [("main", 0), ("worker-1", 1), ("worker-2", 0)]
    lines = tasks(look, 120, colour=False)
    assert any("   worker-1" in line for line in lines)


def test_no_tasks_and_no_loop():
    store = apply(Store(), hello())
    assert tasks(TaskList(store, [], [], {}), 80, colour=False)[-1] == "no event loop has run yet"
    apply(store, static(tasks=[]))
    assert tasks(TaskList(store, [], [], {}), 80, colour=False)[-1] == "no tasks"


def test_tasks_beyond_the_limit_are_counted_and_those_that_do_not_pass_the_filter_are_not():
    store = apply(Store(), hello(), static(), tick())
    assert "worker-2" in tasks(chosen(store, TaskOptions(filter="worker", sort="id")), 80, colour=False)[-1]
    assert tasks(chosen(store, TaskOptions(filter="worker", limit=1)), 80, colour=False)[-1] == "1 more live task"
    assert tasks(chosen(store, TaskOptions(limit=0)), 80, colour=False)[-1] == "3 more live tasks"
    assert tasks(chosen(store, TaskOptions(filter="nobody")), 80, colour=False)[-1] == "no task passes the filter"


def test_a_line_that_is_not_known():
    store = apply(Store(), hello(), static(strings={"from": 0, "items": ["(too many)"]}))
    (unknown,) = store.tables.stack([0])
    assert site_text(unknown, store) == "(unknown line)"


def test_no_programs():
    assert programs([], 80, colour=False) == ["no Python programs visible to you"]


def test_programs_are_a_tree_and_reasons_are_told_once():
    base = Program(
        10, None, "root", "gunicorn: master [app]", 1.0, "3.14.8", False, None, ("*:80",), None, None,
        "no asyncio loaded", "",
    )  # fmt: skip
    disabled = "remote debugging is disabled (-X disable-remote-debug)"
    listed = [
        base,
        replace(base, pid=11, parent=10, depth=1, loop="uvloop", how="probe", reason=None, name="a[/]\x1b", asyncio=True),
        replace(base, pid=12, parent=10, depth=1, loop="asyncio", how="read-only", reason=disabled, todo="do", asyncio=True),
        replace(base, pid=13, owner="www", ports=None, python=None, asyncio=None),
    ]  # fmt: skip
    assert programs(listed, 80, colour=False) == [
        "PID  Owner  Name    Python  Loop     Listens  Watch      Program",
        " 10  root           3.14.8  none     :80      no         gunicorn: master [app]",
        " 11  root   @a[/]␛  3.14.8  uvloop   :80      probe      └ gunicorn: master [ap…",
        " 12  root           3.14.8  asyncio  :80      read-only  └ gunicorn: master [ap…",
        " 13  www            –       –        –        no         gunicorn: master [app]",
        "",
        "10, 13: no asyncio loaded",
        "12: read-only, because: remote debugging is disabled (-X disable-remote-debug):",
        "    do",
    ]


def test_figures_are_not_cut_while_there_is_text_to_cut():
    headings = [Heading("Name", lambda row: row[0]), Heading("N", lambda row: row[1], right=True)]
    lines = table([("a" * 50, "123456789"), ("b", "1")], headings, 24)
    assert lines == ["Name                   N", "aaaaaaaaaaaa…  123456789", "b                      1"]


@pytest.mark.parametrize(
    ("text", "width", "expected"), [("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("ab", 1, "a"), ("日本語", 4, "日 …")]
)
def test_cut(text, width, expected):
    assert cut(text, width) == expected


def test_columns_of_the_first_priority_stay():
    assert fit([30, 30, 30], [1, 1, 2], 10) == [0, 1]
    assert fit([3, 3, 3], [1, 1, 2], 80) == [0, 1, 2]


@pytest.mark.parametrize("tree", [False, True])
def test_the_coroutine_stands_for_a_name_of_asyncio(tree):
    facts = static()
    facts["tasks"][0][1] = "Task-1"
    store = apply(Store(), hello(), facts, tick())
    look = chosen(store, TaskOptions(tree=tree))
    for width in (60, 200):
        text = "\n".join(tasks(look, width, colour=False))
        assert "main()" in text
        assert "Task-1" not in text
        assert ("Coroutine" in text) == (width == 200)
