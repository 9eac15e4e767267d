"""What the dashboard does when a person does something, or when something happens to the program."""

from __future__ import annotations

import re

import msgspec
import pytest
from driver import Driver, running
from scene import (
    HANDLERS,
    MAIN,
    START,
    WORKERS,
    FakeProgram,
    detail_of_worker,
    everything,
    hello,
    static,
    tick,
)
from textual.events import Key

from monitor.protocol import frames
from monitor.protocol.rows import BlockedRow, LoopRow, LoopStaticRow, TaskRow
from monitor.sources.base import Status
from monitor.tui.base.keys import APART, KEYS, SCOPES, by_id
from monitor.tui.dialogs.confirm import ConfirmScreen
from monitor.tui.screens.end import EndScreen
from monitor.tui.screens.help import HelpScreen
from monitor.tui.screens.task import TaskScreen
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.widgets.live_table import LiveTable
from monitor.tui.widgets.page import Page


def table(driver: Driver) -> LiveTable:
    return driver.app.screen.query_one(LiveTable)


def row(driver: Driver, task_id: int) -> int:
    """On which line of the screen a task stands."""
    return next(y for y, text in enumerate(driver.screen()) if text[1:8].strip() == str(task_id))


def busier(task_id: int, step: int) -> frames.Tick:
    """A tick in which one task has become by far the busiest."""
    rows = [
        msgspec.structs.replace(row, state=2, busy=90_000_000 if row.id == task_id else row.busy)
        for row in tick(step).tasks
    ]
    return tick(step, tasks=rows)


# Sorting and the cursor


async def test_the_busiest_stays_on_top_until_the_cursor_is_moved() -> None:
    async with running() as driver:
        assert table(driver).current == 5
        await driver.tick(busier(30, 25), seconds=1.1)
        assert table(driver).current == 30
        assert row(driver, 30) == 5


async def test_the_selection_stays_on_its_task_and_its_line_when_rows_move() -> None:
    async with running() as driver:
        await driver.press("down", "down", "down")
        chosen = table(driver).current
        assert isinstance(chosen, int)
        line = row(driver, chosen)
        await driver.tick(busier(30, 25), seconds=0.5)
        assert driver.screen()[5].split()[0] != "30", "nothing moves while the cursor does"
        await driver.tick(busier(30, 26), seconds=2.5)
        assert table(driver).current == chosen
        assert driver.screen()[5].split()[0] == "30" or round(table(driver).scroll_y) == 1
        assert row(driver, chosen) == line


async def test_the_cursor_goes_to_the_next_row_when_its_task_ends() -> None:
    async with running() as driver:
        await driver.press("down")
        assert table(driver).current == 6
        await driver.tick(tick(25, gone=[6], tasks=[]), seconds=0.25)
        assert "worker-4" in driver.screen()[6], "it stays until the rows are sorted again"
        await driver.tick(tick(26, tasks=[]), seconds=3)
        assert "worker-4" not in driver.text()
        assert table(driver).current == 17
        await driver.press("home")
        await driver.tick(busier(30, 27), seconds=3)
        assert table(driver).current == 30, "Home gives the cursor back to the top"


async def test_rows_are_sorted_once_a_second_not_at_every_tick() -> None:
    async with running() as driver:
        await driver.tick(busier(30, 25), seconds=0.25)
        assert driver.screen()[5].split()[1] == "5"
        await driver.tick(busier(30, 26), seconds=0.8)
        assert driver.screen()[5].split()[1] == "30"


async def test_sorting_by_keys_and_by_mouse() -> None:
    async with running((140, 40)) as driver:
        screen = driver.app.screen
        assert isinstance(screen, TasksScreen)
        await driver.press("greater_than_sign")
        assert (screen.rows.sort_key, screen.rows.descending) == ("scheduled", True)
        await driver.press("i")
        assert (screen.rows.sort_key, screen.rows.descending) == ("scheduled", False)
        await driver.press("left", "less_than_sign")
        assert screen.rows.sort_key == "share"
        x = driver.screen()[4].index("Name")
        await driver.pilot.click(LiveTable, offset=(x + 1, 0))
        await driver.tick()
        assert (screen.rows.sort_key, screen.rows.descending) == ("name", False)
        assert "Name▲" in driver.screen()[4]
        await driver.pilot.click(LiveTable, offset=(x + 1, 0))
        await driver.tick()
        assert "Name▼" in driver.screen()[4]
        assert "by Name ▼" in driver.screen()[3]


async def test_a_click_chooses_a_row_and_a_second_one_opens_it() -> None:
    async with running() as driver:
        await driver.pilot.click(LiveTable, offset=(10, 3))
        assert table(driver).current == 17
        await driver.pilot.click(LiveTable, offset=(10, 3), times=2)
        await driver.until(lambda: isinstance(driver.app.screen, TaskScreen))


async def test_the_wheel_scrolls_and_leaves_the_cursor_alone() -> None:
    async with running() as driver:
        await driver.press("down")
        table(driver).scroll_to(y=20, animate=False)
        await driver.tick(tick(25), seconds=3)
        assert table(driver).current == 6
        assert round(table(driver).scroll_y) == 20


async def test_vim_keys_and_pages() -> None:
    async with running() as driver:
        await driver.press("j", "j", "k")
        assert table(driver).current == 6
        await driver.press("G")
        assert table(driver).current == MAIN or table(driver).current in range(50, 60)
        await driver.press("g")
        assert table(driver).current == 5
        await driver.press("pagedown")
        assert row(driver, table(driver).current) > 15  # type: ignore[arg-type]
        await driver.press("pageup")
        assert table(driver).current == 5


# Filters


async def test_a_filter_narrows_as_one_types_and_escape_clears_it() -> None:
    async with running() as driver:
        await driver.press("slash", *"name:worker-*")
        assert len(table(driver).source) == len(WORKERS)
        await driver.press("enter")
        assert driver.app.focused is table(driver)
        assert "5 of 46" in driver.text()
        await driver.press("escape")
        assert len(table(driver).source) == 46
        assert "5 of 46" not in driver.text()


async def test_a_bad_filter_says_so_and_the_last_good_one_stays() -> None:
    async with running() as driver:
        await driver.press("slash", *"state:run", "space", *"age>soon")
        assert "✗ not a number in a filter: age>soon" in driver.text()
        assert len(table(driver).source) == 1
        await driver.press(*["backspace"] * 4, "5")
        assert "✗ not a number" not in driver.text()
        assert len(table(driver).source) == 1


async def test_letters_typed_before_the_filter_is_there_are_no_commands() -> None:
    async with running() as driver:
        for key, character in (("slash", "/"), *((letter, letter) for letter in "legacyc")):
            driver.app.post_message(Key(key, character))
        await driver.until(lambda: driver.app.screen.query_one("#filter-text").value == "legacyc")  # type: ignore[attr-defined]
        assert not driver.source.requests, "no task was cancelled"


async def test_letters_typed_into_a_filter_are_no_commands() -> None:
    async with running() as driver:
        await driver.press("slash", *"qc1 t?")
        assert driver.app.is_running
        assert driver.app.screen.query_one("#filter-text").value == "qc1 t?"  # type: ignore[attr-defined]


async def test_a_group_opens_its_tasks_and_escape_goes_back() -> None:
    async with running() as driver:
        await driver.press("t", "t")
        await driver.press("enter")
        assert len(table(driver).source) == len(HANDLERS)
        await driver.press("escape")
        assert "Created at" in driver.screen()[4]
        assert len(table(driver).source) == 4


async def test_a_tree_folds_and_shows_the_way_to_a_match() -> None:
    async with running() as driver:
        await driver.press("t")
        assert driver.screen()[5].split()[:3] == ["▌", "1", "▾"]
        await driver.press("minus")
        assert len(table(driver).source) == 1
        await driver.press("plus")
        assert len(table(driver).source) == 46
        await driver.press("left")
        assert len(table(driver).source) == 1
        await driver.press("right", "down", "down", "left")
        assert table(driver).current == 2
        await driver.filter_by("launch")
        assert [table(driver).source.key(number) for number in range(3)] == [1, 2, 54]


# Pause


async def test_pause_freezes_all_that_is_measured() -> None:
    async with running((140, 40), program=FakeProgram(["hello"])) as driver:
        before = driver.screen()
        await driver.press("space")
        driver.app.child.program.lines = ["more"]  # type: ignore[union-attr]
        blocked = frames.Event(
            seq=30, at=tick(89).at, kind="slow_callback", loop=1, duration=900_000, callback="x()", stack=[9], blame=0
        )
        await driver.tick(*(tick(step) for step in range(25, 90)), blocked, tick(90, gone=[6, 7, 8]), seconds=5)
        after = driver.screen()
        assert "PAUSED 5s" in after[0]
        assert after[1:-1] == before[1:-1]
        await driver.press("down", "greater_than_sign")
        await driver.filter_by("worker")
        assert "worker-4" in driver.text(), "a frozen table can still be sorted and filtered"
        await driver.press("escape", "space")
        assert "PAUSED" not in driver.text()
        assert driver.screen()[1] != before[1]
        assert "worker-4" not in driver.text()


async def test_that_the_connection_broke_is_said_in_a_pause_too() -> None:
    async with running() as driver:
        await driver.press("space")
        driver.source.status = Status("lost", "the probe closed it", driver.clock.now)
        await driver.tick()
        assert "connection lost" in driver.screen()[0]
        assert "the probe closed it" in driver.text()


async def test_a_paused_page_stays_as_it_was() -> None:
    async with running() as driver:
        await driver.press("enter")
        await driver.tick(tick(25, detail=detail_of_worker()))
        await driver.press("space")
        before = driver.screen()
        await driver.tick(tick(40, gone=[5]), seconds=9)
        assert driver.screen()[1:-1] == before[1:-1]


async def test_a_page_that_is_opened_in_a_pause_says_when_it_was_collected() -> None:
    async with running((140, 40)) as driver:
        await driver.press("space")
        await driver.tick(tick(30), seconds=9)
        await driver.press("enter")
        assert "asking" in driver.text()
        assert driver.source.watched["detail"] == 5
        await driver.tick(tick(44, detail=detail_of_worker()))
        text = driver.screen()[1:]
        assert "as of 5s after the pause" in driver.text()
        assert "held by" in driver.text()
        assert "Lock.acquire" in driver.text()
        await driver.tick(tick(50, detail=msgspec.structs.replace(detail_of_worker(), await_stack=[5])))
        assert driver.screen()[1:] == text, "once"
        await driver.press("escape", "space", "enter")
        assert "after the pause" not in driver.text()


async def test_a_task_that_has_ended_since_the_pause_cannot_be_inspected() -> None:
    async with running() as driver:
        await driver.press("space")
        await driver.tick(tick(30, gone=[5]), seconds=9)
        await driver.press("enter")
        assert "ended since the pause" in driver.text()


# Screens, pages, the way back


async def test_the_back_stack() -> None:
    async with running() as driver:
        await driver.press("enter")
        await driver.tick(tick(25, detail=detail_of_worker()))
        await driver.press("j", "enter")
        assert isinstance(driver.app.screen, TaskScreen)
        assert driver.app.screen.task_id == MAIN
        await driver.press("escape")
        assert isinstance(driver.app.screen, TaskScreen)
        assert driver.app.screen.task_id == 5
        await driver.press("escape", "escape", "escape")
        assert isinstance(driver.app.screen, TasksScreen)


async def test_a_listed_task_opens_wherever_it_is_listed() -> None:
    async with running() as driver:
        await driver.press("enter")
        await driver.tick(tick(25, detail=detail_of_worker()))
        page = driver.app.screen.query_one(Page)
        targets = [line.target for line in page.lines if line.target is not None]
        assert targets == [("task", MAIN), ("task", 2), ("task", MAIN)], "parent, holder of the lock, who waits for it"
        await driver.press("p")
        assert isinstance(driver.app.screen, TaskScreen)
        assert driver.app.screen.task_id == MAIN
        assert len([line for line in driver.app.screen.query_one(Page).lines if line.target]) == 35


async def test_an_ended_task_opens_how_it_ended_and_a_forgotten_one_says_so() -> None:
    async with running() as driver:
        driver.app.open_task(91)
        await driver.until(lambda: isinstance(driver.app.screen, EndScreen))
        await driver.press("escape")
        driver.app.open_task(4_000)
        await driver.pilot.pause()
        assert isinstance(driver.app.screen, TasksScreen)


async def test_a_digit_leads_to_the_main_screen_from_anywhere() -> None:
    async with running() as driver:
        await driver.press("2", "down", "enter", "3", "enter", "1")
        assert isinstance(driver.app.screen, TasksScreen)
        await driver.press("2")
        assert "▼Total" in driver.text()


async def test_a_click_on_a_tab_and_on_a_hint() -> None:
    async with running() as driver:
        await driver.pilot.click("#tabs", offset=(driver.screen()[3].index("Slow"), 0))
        await driver.until(lambda: driver.app.current_mode == "slow")
        await driver.press("1")
        await driver.pilot.click("#hints", offset=(driver.screen()[-1].index("Tree"), 0))
        await driver.tick()
        assert "tree  by ID" in driver.text()
        await driver.pilot.click("#hints", offset=(driver.screen()[-1].index("Sort"), 0))
        await driver.tick()
        assert "tree  by Name" in driver.text()


async def test_help_knows_the_keys_of_the_screen_first() -> None:
    async with running((140, 40)) as driver:
        await driver.press("2", "question_mark")
        assert isinstance(driver.app.screen, HelpScreen)
        text = "\n".join(
            "".join(str(part[0]) for part in line.parts) for line in driver.app.screen.query_one(Page).lines
        )
        for key in KEYS:
            assert key.scope in APART or key.help in text
        assert text.index(SCOPES["slow"]) < text.index(SCOPES["task"])
        await driver.press("escape")
        assert not isinstance(driver.app.screen, HelpScreen)


async def test_the_command_palette_runs_our_actions() -> None:
    async with running() as driver:
        await driver.pilot.press("ctrl+p")
        await driver.pilot.pause()
        await driver.pilot.press(*"pause")
        await driver.until(lambda: len(driver.app.screen.query("OptionList")) > 0)
        await driver.pilot.app.workers.wait_for_complete()
        await driver.until(lambda: driver.app.screen.query_one("OptionList").option_count == 1)  # type: ignore[attr-defined]
        await driver.pilot.press("enter")
        await driver.until(lambda: driver.app.paused)


# What the source is told


async def test_the_source_is_told_what_is_in_sight_and_only_when_it_changes() -> None:
    async with running() as driver:
        source = driver.source
        assert source.started
        assert source.watched["window"][:3] == [5, 6, 17]
        assert source.watched["detail"] is None
        assert source.watched["slow"] == 100_000
        told = source.watches
        await driver.tick(tick(25))
        assert source.watches == told
        await driver.press("enter")
        assert source.watched["detail"] == 5
        await driver.press("escape")
        assert source.watched["detail"] is None
        await driver.press("2", "plus")
        assert source.watched["slow"] == 200_000
        assert source.watched["window"] == []
        assert "threshold 200ms" in driver.text() or "over 200ms" in driver.text()


async def test_origins_are_asked_for_and_shown_as_costing() -> None:
    async with running() as driver:
        await driver.press("enter", "o")
        assert driver.source.watched["origins"] == 10
        assert "origins on" in driver.text()
        await driver.press("o")
        assert driver.source.watched["origins"] == 0


def with_locals(**settings: bool) -> list[frames.Frame]:
    able = hello(capabilities=["cancel", "locals"], settings=frames.Settings(slow=100_000, **settings))
    return [able, *everything()[1:]]


async def test_local_names_are_kept_after_a_question_until_they_are_switched_off() -> None:
    async with running(size=(100, 40), fed=with_locals()) as driver:
        driver.app.open_task(99)
        await driver.press("up")
        assert "press L to keep those of failing tasks" in driver.text()
        await driver.press("L")
        assert isinstance(driver.app.screen, ConfirmScreen)
        assert "masked" in driver.text()
        await driver.press("n")
        assert "locals" not in driver.source.watched
        await driver.press("L", "y")
        assert driver.source.watched["locals"] is True
        assert "locals on" in driver.text()
        assert "they are kept for tasks that fail from now on" in driver.text()
        driver.source.watched.clear()
        await driver.tick(*with_locals()[:1])  # the connection was lost: what was wanted is told again
        assert driver.source.watched["locals"] is True
        await driver.press("L")
        assert driver.source.watched["locals"] is False
        assert "locals on" not in driver.text()


@pytest.mark.parametrize(
    ("fed", "said"),
    [
        (everything(), "this probe does not allow control"),
        (with_locals(locals=True), "was started with local variables kept"),
        ([hello(capabilities=["read-only"]), *everything()[1:]], "failures of tasks are not visible"),
    ],
)
async def test_where_local_names_can_not_be_switched_that_is_said(fed: list[frames.Frame], said: str) -> None:
    async with running(size=(120, 30), fed=fed) as driver:
        await driver.press("3", "L")
        await driver.pilot.pause()
        assert said in driver.text()
        assert "locals" not in driver.source.watched


# Cancel


async def test_cancel_asks_first_and_shows_the_answer() -> None:
    async with running() as driver:
        await driver.press("c")
        assert isinstance(driver.app.screen, ConfirmScreen)
        assert driver.source.requests == []
        await driver.press("n")
        assert driver.source.requests == []
        await driver.press("c", "y")
        assert driver.source.requests == [(1, "cancel", {"task": 5})]
        await driver.tick(frames.Reply(id=1, ok=False, error="no such task: [/x]"))
        await driver.until(lambda: "not cancelled: no such task: [/x]" in driver.text())


async def test_cancel_without_the_capability_or_the_connection() -> None:
    fed = [hello(capabilities=[]), *everything()[1:]]
    async with running(fed=fed) as driver:
        await driver.press("c")
        await driver.until(lambda: "does not allow control" in driver.text())
        assert isinstance(driver.app.screen, TasksScreen)
    async with running() as driver:
        driver.source.deaf = True
        await driver.press("c", "y")
        await driver.until(lambda: "not connected to the program" in driver.text())


# What happens to the program


async def test_a_lost_connection_keeps_the_last_state_and_comes_back() -> None:
    async with running() as driver:
        driver.source.status = Status("lost", "the connection broke; trying again in 4s", driver.clock.now)
        await driver.tick(seconds=12)
        assert "✗ lost 12s ago: the connection broke; trying again in 4s" in driver.text()
        assert "worker-3" in driver.text()
        driver.source.status = Status("connected", "", driver.clock.now)
        await driver.tick(hello(at=80), static(), tick(90))
        assert "reconnected to the same session" in driver.text()
        assert "worker-3" in driver.text()
        assert driver.source.watched["window"], "what is looked at is said again"


async def test_another_session_is_not_mixed_with_the_one_before() -> None:
    async with running() as driver:
        await driver.press("enter")
        await driver.press("space")
        await driver.tick(
            hello(session="session-2", pid=77), frames.Static(loops=[LoopStaticRow(1, "uvloop", 1, "Main")])
        )
        assert "connected to another session: shop (pid 77)" in driver.text()
        assert "belongs to another session" in driver.text()
        assert not driver.app.paused
        await driver.press("escape")
        assert "worker-3" not in driver.text()


async def test_the_program_ends_under_run() -> None:
    program = FakeProgram(["hello"])
    async with running(program=program) as driver:
        program.running, program.exit_status = False, 3
        await driver.tick()
        assert "the program exited with status 3" in driver.text()
        assert "worker-3" in driver.text()
        await driver.pilot.press("q")
        await driver.until(lambda: not driver.app.is_running)


async def test_quitting_asks_while_the_program_runs_and_stops_it() -> None:
    program = FakeProgram()
    async with running(program=program) as driver:
        await driver.press("q")
        assert isinstance(driver.app.screen, ConfirmScreen)
        await driver.press("n")
        assert program.stops == 0
        await driver.press("q", "y")
        assert program.stops == 1
        assert "stopping the program" in driver.text()
        await driver.press("q")
        assert program.stops == 2, "asked again it is stopped harder"
        program.running = False
        await driver.app.tick()
        await driver.until(lambda: not driver.app.is_running)


async def test_output_follows_its_end_unless_scrolled_up() -> None:
    program = FakeProgram([f"line {number}" for number in range(100)])
    async with running(program=program) as driver:
        await driver.press("4")
        assert "line 99" in driver.text()
        await driver.press("pageup")
        program.lines = ["one more"]
        await driver.tick()
        assert "one more" not in driver.text()
        await driver.press("G")
        assert "one more" in driver.text()
        program.lines = ["and more"]
        await driver.tick()
        assert "and more" in driver.text()


async def test_output_is_bounded() -> None:
    program = FakeProgram([f"line {number}" for number in range(6_000)])
    async with running(program=program) as driver:
        await driver.press("4")
        assert re.search(r"4 Output 6000 .* the last 5000", driver.text())


# Sizes and colours


@pytest.mark.parametrize("size", [(40, 10), (1, 1), (20, 3), (56, 12), (79, 24), (300, 80)])
async def test_every_size_is_survived(size: tuple[int, int]) -> None:
    async with running(size) as driver:
        await driver.press("enter", "2", "4", "1", "t", "t")
        if size == (40, 10):
            assert "Too small: 40×10" in driver.text()
        await driver.pilot.resize_terminal(80, 24)
        await driver.tick()
        assert "by creation site" in driver.text()


async def test_without_colour_there_is_no_colour() -> None:
    async with running(no_color=True) as driver:
        await driver.press("down")
        for strip in driver.app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                if style is not None and segment.text.strip():
                    for colour in (style.color, style.bgcolor):
                        assert colour is None or colour.is_default or colour.type.name in ("DEFAULT", "STANDARD"), (
                            segment
                        )


async def test_another_theme_repaints_everything() -> None:
    async with running() as driver:
        before = driver.app.palette
        driver.app.theme = "textual-light"
        await driver.tick()
        assert driver.app.palette != before
        assert table(driver).palette is driver.app.palette


async def test_nothing_is_painted_when_nothing_changes() -> None:
    async with running() as driver:
        asked: list[object] = []
        table(driver).refresh = lambda *regions, **_: asked.append(regions)  # type: ignore[method-assign,assignment,misc,return-value]
        await driver.tick(seconds=0)
        assert asked == []
        await driver.tick(
            tick(25, tasks=[TaskRow(17, 2, 1_000, 1_600_000, 0, 251_000)], at=START + 66_000_000), seconds=0
        )
        assert len(asked) == 1, "only the row that changed"


def test_every_action_of_the_key_table_exists() -> None:
    from monitor.tui.app import Looptop
    from monitor.tui.connect import Connect
    from monitor.tui.screens.allocation import AllocationScreen
    from monitor.tui.screens.base import LiveScreen
    from monitor.tui.screens.connect import ConnectScreen
    from monitor.tui.screens.ended import EndedScreen
    from monitor.tui.screens.findings import FindingScreen, FindingsScreen
    from monitor.tui.screens.flame import FlameScreen
    from monitor.tui.screens.groups import GroupsScreen
    from monitor.tui.screens.memory import MemoryScreen
    from monitor.tui.screens.output import OutputScreen
    from monitor.tui.screens.past import PastScreen
    from monitor.tui.screens.profile import FunctionScreen
    from monitor.tui.screens.service import ServiceScreen
    from monitor.tui.screens.slow import SlowScreen
    from monitor.tui.service import ServiceApp
    from monitor.tui.widgets.filter_bar import FilterInput
    from monitor.tui.widgets.icicle import Icicle

    owners = {
        "app": Looptop, "views": LiveScreen, "table": LiveTable, "tasks": TasksScreen, "page": Page,
        "task": TaskScreen, "slow": SlowScreen, "output": OutputScreen, "filter": FilterInput,
        "player": LiveScreen, "memory": MemoryScreen, "allocation": AllocationScreen, "profile": FunctionScreen,
        "connect": ConnectScreen, "findings": FindingsScreen, "finding": FindingScreen,
        "ended": EndedScreen, "flame": Icicle, "worker": Looptop, "service": ServiceScreen,
        "past": PastScreen, "groups": GroupsScreen, "group_list": GroupsScreen,
    }  # fmt: skip
    assert set(owners) == set(SCOPES)
    for key in KEYS:
        name = key.action.partition("(")[0]
        owner = owners[key.scope]
        if name.startswith("app."):
            owner = {"connect": Connect, "service": ServiceApp}.get(key.scope, Looptop)
        elif name.startswith("screen."):
            owner = FlameScreen if key.scope == "flame" else TasksScreen
        assert hasattr(owner, "action_" + name.rpartition(".")[2]), key
        assert by_id(key.id) is key


# A loop that is blocked


def blocked(step: int, seconds: float, *, at_least: bool, running: int | None, stack: list[int]) -> frames.Tick:
    """A tick in which the loop is blocked at a line of the scene."""
    us = int(seconds * 1e6)
    loops = [LoopRow(1, us, step * 90_000 + us, 3, 12, step * 1_050, running, us)]
    return tick(step, loops=loops, blocked=[BlockedRow(1, at_least, 0, stack, len(stack) - 1)])


async def test_a_loop_that_was_blocked_before_is_named_everywhere() -> None:
    async with running((100, 48)) as driver:
        await driver.tick(blocked(30, 5.2, at_least=True, running=17, stack=[8, 14]), seconds=1.1)
        screen = driver.screen()
        assert "BLOCKED ≥5.20s" in screen[1]
        assert all(len(text) <= 100 for text in screen)
        assert any(
            "the loop has been blocked for at least 5s at scene_app.py:25 by #17 handle()" in text for text in screen
        )
        await driver.press("2")
        await driver.tick(blocked(31, 5.5, at_least=True, running=17, stack=[8, 14]), seconds=1.1)
        first = driver.screen()[row_of(driver, "scene_app.py:25")]
        assert row_of(driver, "scene_app.py:25") < row_of(driver, "scene_app.py:37"), "what blocks now comes first"
        assert "≥5.50s" in first and "now" in first and "handle()" in first
        await driver.press("enter")
        await driver.tick(blocked(32, 6.0, at_least=True, running=17, stack=[8, 14]), seconds=1.1)
        text = driver.text()
        assert "blocks the loop now, for at least 6.00s  since before looptop attached, in #17 handle()" in text
        assert "Stack while it blocks" in text and "now, outermost first" in text
        end = frames.Event(
            seq=100, at=START + 70_000_000, kind="slow_callback", loop=1, duration=6_100_000, at_least=True, task=17,
            name="Task-17", callback="handle()", stack=[8, 14], blame=1, samples=200,
        )  # fmt: skip
        await driver.tick(end, tick(33), seconds=1.1)
        text = driver.text()
        assert "blocks the loop now" not in text
        assert "total ≥6.10s" in text and "≥6.10s" in text.partition("Last times")[2]


async def test_a_loop_that_is_blocked_by_a_call_with_no_line_says_so() -> None:
    async with running((100, 24)) as driver:
        await driver.tick(blocked(30, 2.2, at_least=False, running=None, stack=[]), seconds=1.1)
        screen = driver.screen()
        assert "BLOCKED 2.20s" in screen[1]
        assert any("the loop has been blocked for 2s by a callback" in text for text in screen)
        await driver.press("2")
        assert "a call with no line" in driver.screen()[row_of(driver, "now")]


def row_of(driver: Driver, words: str) -> int:
    """The first line below the header on which words stand."""
    return next(y for y, text in enumerate(driver.screen()) if y > 4 and words in text)


# One way


async def test_enter_answers_a_question_and_esc_goes_back() -> None:
    async with running() as driver:
        await driver.press("c")
        assert "Enter cancel the task   Esc back" in driver.text()
        await driver.press("escape")
        assert driver.source.requests == []
        await driver.press("c", "enter")
        assert driver.source.requests[-1][1] == "cancel"
        assert not isinstance(driver.app.screen, ConfirmScreen)


async def test_esc_is_offered_only_where_it_leads_back() -> None:
    async with running() as driver:
        assert "Esc" not in driver.screen()[-1]
        await driver.filter_by("worker")
        await driver.press("enter")
        assert "Esc Back" in driver.screen()[-1]
        await driver.press("escape", "enter")
        assert "Esc Back" in driver.screen()[-1]
        await driver.press("escape")
        assert "Esc" not in driver.screen()[-1]


async def test_a_title_has_one_name() -> None:
    async with running() as driver:
        driver.app.open_task(17)
        await driver.pilot.pause()
        await driver.look()
        title = next(text for text in driver.screen() if "#17" in text)
        assert "#17 handle()" in title
        assert "Task-17" not in title
        assert "named Task-17" in driver.text(), "it can still be found by it"


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_no_help_is_cut(size: tuple[int, int]) -> None:
    async with running(size) as driver:
        await driver.press("question_mark")
        page = driver.app.screen.query_one(Page)
        assert max(one.width for one in page.lines) < page.cells_wide
        texts = "\n".join("".join(text for text, _ in one.parts) for one in page.lines)
        assert "waiting for the GIL" in " ".join(texts.split())


async def test_the_parent_of_a_task_older_than_the_probe_is_not_known() -> None:
    async with running((100, 40)) as driver:
        await driver.filter_by("name:main")
        await driver.press("enter", "enter")
        await driver.tick(tick(30), seconds=1.1)
        assert "not known: the task is older than the probe" in driver.text()
