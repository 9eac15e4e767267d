"""What a narrow screen keeps: what a task runs, where asyncio named it, and the titles of the tabs."""

import msgspec
from fake_probe import event, hello, static, tick

from monitor.protocol import frames
from monitor.store.columns import ENDED, TASKS
from monitor.store.store import Store
from monitor.tui.main_screens import MAIN
from monitor.tui.rows.ended import EndedRows
from monitor.tui.rows.tasks import TaskRows
from monitor.tui.widgets import tabs
from monitor.tui.widgets.column_layout import lay_out


def test_a_task_has_one_name_live_and_ended_whichever_columns_fit():
    store = Store()
    facts = static()
    facts["tasks"][0][1] = "Task-1"
    for frame in (hello(), facts, tick()):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = TaskRows(store)
    rows.arrange(store)
    index = rows.index(1)
    store.apply(
        frames.decode(msgspec.json.encode(event(1, "task_ended", task=9, name="Task-9", coro="main", outcome="done")))
    )
    store.apply(frames.decode(msgspec.json.encode(event(2, "unhandled", message="Exception in callback x()"))))
    ended = EndedRows(store)
    ended.arrange(store)
    shown = set()
    for cells in (78, 118, 198):
        for source, columns, row, name in (
            (rows, TASKS, index, "main()"),
            (ended, ENDED, 1, "main()"),
            (ended, ENDED, 0, "–"),  # it names no task
        ):
            layout = [column for column, _ in lay_out(columns, cells)]
            keys = [column.key for column in layout]
            assert source.cells(row, layout)[keys.index("name")][0] == name
            shown.add(("coro" in keys, name))
    assert len(shown) == 4  # beside the column of the coroutine, and without it


def test_numbers_alone_are_no_tabs():
    shown = [tabs.Tab(main.mode, main.title, main.short, "12345") for main in MAIN]
    assert tabs.named(shown, "slow", 60)
    assert "3 End" in " ".join(tabs.texts(shown, "slow", 60))
    assert not tabs.named(shown, "slow", 40)
