"""What a narrow screen keeps: what a task runs, where asyncio named it, and the titles of the tabs."""

import msgspec
import pytest
from fake_probe import hello, static, tick

from monitor.protocol import frames
from monitor.store.columns import TASKS
from monitor.store.labels import called, who
from monitor.store.store import Store
from monitor.tui.main_screens import MAIN
from monitor.tui.rows.tasks import TaskRows
from monitor.tui.widgets import tabs
from monitor.tui.widgets.column_layout import lay_out


@pytest.mark.parametrize(
    ("name", "coro", "shown"),
    [
        ("job-7", "work", "job-7"),
        ("Task-7", "work", "work()"),
        ("Task-7", "Server.handle", "Server.handle()"),
        ("Task-7", "RequestHandler._handle_request", "_handle_request()"),
        ("Task-7", "main.<locals>.work", "work()"),
        ("Task-7", "", "Task-7"),
        ("", "work", "work()"),
        ("", "", "–"),
        ("Task-7b", "work", "Task-7b"),
    ],
)
def test_a_name_that_asyncio_gave_says_nothing(name, coro, shown):
    assert called(name, coro) == shown


@pytest.mark.parametrize(
    ("name", "what", "shown"),
    [
        ("Task-7", "work()", "work()"),
        ("job-7", "work()", "job-7"),
        (None, "Protocol.data_received()", "Protocol.data_received()"),
        ("Task-7", "", "Task-7"),
        (None, None, ""),
    ],
)
def test_of_whom_an_event_tells(name, what, shown):
    assert who(name, what) == shown


def test_the_coroutine_stands_in_for_the_name_only_where_it_has_no_column():
    store = Store()
    facts = static()
    facts["tasks"][0][1] = "Task-1"
    for frame in (hello(), facts, tick()):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = TaskRows(store)
    rows.arrange(store)
    index = rows.index(1)
    for cells, name in ((78, "main()"), (118, "main()"), (198, "Task-1")):
        layout = [column for column, _ in lay_out(TASKS, cells)]
        at = [column.key for column in layout].index("name")
        assert rows.cells(index, layout)[at][0] == name
        assert ("coro" in {column.key for column in layout}) == (name == "Task-1")


def test_numbers_alone_are_no_tabs():
    shown = [tabs.Tab(main.mode, main.title, main.short, "12345") for main in MAIN]
    assert tabs.named(shown, "slow", 60)
    assert "3 End" in " ".join(tabs.texts(shown, "slow", 60))
    assert not tabs.named(shown, "slow", 40)
