"""What a narrow screen keeps: what a task runs, where asyncio named it, and the titles of the tabs."""

import msgspec
from fake_probe import hello, static, tick

from monitor.protocol import frames
from monitor.store.columns import TASKS
from monitor.store.store import Store
from monitor.tui.main_screens import MAIN
from monitor.tui.rows.tasks import TaskRows
from monitor.tui.widgets import tabs
from monitor.tui.widgets.column_layout import lay_out


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
