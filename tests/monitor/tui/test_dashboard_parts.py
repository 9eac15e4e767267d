"""The parts of the dashboard that need no screen: layout, charts, text, keys, pace."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from driver import running
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from scene import HOSTILE, everything, hello

from monitor import formatting as fmt
from monitor.findings.columns import FINDINGS
from monitor.sources.base import Status
from monitor.store.columns import ENDED, GROUPS, SLOW, TASKS
from monitor.store.store import Store
from monitor.tui.base import keys, theme
from monitor.tui.base.paint import Line, columns, crop, fit, line, spread, to_strip
from monitor.tui.base.program import status_words
from monitor.tui.base.tick_rate import TickRate
from monitor.tui.screens.blocking_line import BlockingLineScreen
from monitor.tui.screens.end import EndScreen
from monitor.tui.screens.ended import EndedScreen
from monitor.tui.screens.output import OutputScreen
from monitor.tui.screens.slow import SlowScreen
from monitor.tui.screens.task import TaskScreen
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.terminal.captured import Captured
from monitor.tui.widgets import spark
from monitor.tui.widgets.column_layout import GAP, lay_out
from monitor.tui.widgets.header import Situation, header
from monitor.tui.widgets.histogram import bounds, chart, percentile
from monitor.tui.widgets.source_files import MOST_BYTES, read_source
from monitor.tui.widgets.source_view import Sources

ALL = {"tasks": TASKS, "groups": GROUPS, "slow": SLOW, "ended": ENDED}


# Columns


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("cells", [1, 20, 40, 55, 78, 79, 100, 138, 200, 400])
def test_columns_fill_the_width_and_never_pass_it(name: str, cells: int) -> None:
    layout = lay_out(ALL[name], cells)
    total = sum(width for _, width in layout) + GAP * (len(layout) - 1)
    assert layout
    assert total <= cells or len(layout) == 1
    if cells >= 78:
        assert total == cells
        assert {column.key for column in ALL[name] if column.priority == 1} <= {column.key for column, _ in layout}


def test_the_column_that_is_sorted_by_is_always_there() -> None:
    for name, table in ALL.items():
        for column in table:
            assert column.key in {shown.key for shown, _ in lay_out(table, 78, column.key)}, (name, column.key)


def test_figures_keep_their_width() -> None:
    for cells in range(30, 200):
        for column, width in lay_out(TASKS, cells):
            if column.right:
                assert width == column.width


def test_a_text_is_not_cut_beside_a_column_with_blanks_to_spare() -> None:
    for cells in (140, 220):
        widths = {column.key: width for column, width in lay_out(FINDINGS, cells, "kind", {"text": 75, "site": 23})}
        assert widths["text"] >= 75
        assert widths["site"] >= 23
        assert sum(widths.values()) + GAP * 3 == cells


def test_the_line_of_a_finding_has_its_place_on_a_narrow_screen() -> None:
    widths = {column.key: width for column, width in lay_out(FINDINGS, 78, "kind", {"text": 75, "site": 23})}
    assert widths["site"] >= 15
    assert widths["kind"] >= len("✗ loop blocked by a line")


# Text


@pytest.mark.parametrize("text", [*HOSTILE, "任务" * 40, "e\u0301" * 9, "👩‍👩‍👧‍👦 family", "\ud800 lone"])
@pytest.mark.parametrize("cells", [1, 2, 7, 18])
def test_whatever_a_name_is_it_takes_exactly_its_cells(text: str, cells: int) -> None:
    shown = fit(text, cells)
    assert cell_len(shown) == cells
    assert shown.isprintable()


@given(st.text(max_size=60), st.integers(1, 30), st.booleans())
def test_fit_is_exact_for_any_text(text: str, cells: int, right: bool) -> None:
    assert cell_len(fit(text, cells, right)) == cells


@given(st.lists(st.tuples(st.text(max_size=20), st.just("text")), max_size=5), st.integers(0, 40))
def test_strips_are_exactly_as_wide_as_asked(parts: list[tuple[str, str]], cells: int) -> None:
    strip = to_strip(tuple(parts), cells, theme.plain())
    assert sum(cell_len(segment.text) for segment in strip) == cells
    assert sum(cell_len(text) for text, _ in crop(tuple(parts), cells)) <= cells
    assert sum(cell_len(text) for text, _ in spread(tuple(parts), (("right", "dim"),), cells)) == max(cells, 0)


def test_two_columns_side_by_side_keep_the_targets_of_the_left() -> None:
    left = [line("a", target=1), line("b")]
    both = columns(left, [line("x"), line("y"), line("z")], 5)
    assert [row.target for row in both] == [1, None, None]
    assert "".join(str(text) for text, _ in both[2].parts) == " " * 8 + "z"
    assert Line().width == 0


def test_ages_are_calm() -> None:
    shown = [fmt.age(seconds) for seconds in (None, -1, 0.04, 0.43, 1.2, 59.4, 59.6, 61, 7_300)]
    assert shown == ["–", "0.0s", "0.0s", "0.4s", "1s", "59s", "1m00s", "1m01s", "2h01m"]


# Charts


def test_percentiles_come_from_the_buckets() -> None:
    counts = [0] * 32
    counts[7] = 90  # 64 to 128 µs
    counts[11] = 10  # 1.024 to 2.048 ms
    assert percentile(counts, 0.5) == pytest.approx(64e-6 + 64e-6 * 50 / 90)
    assert percentile(counts, 0.9) == pytest.approx(128e-6)
    assert 1.024e-3 < (percentile(counts, 0.99) or 0) < 2.048e-3
    assert percentile(counts, 0.99, longest=1.1e-3) == 1.1e-3
    assert percentile([0] * 32, 0.5) is None
    assert bounds(0) == (0.0, 1e-6)


@given(st.lists(st.integers(0, 10**9), min_size=32, max_size=32), st.integers(10, 60))
def test_a_chart_of_anything_fits(counts: list[int], cells: int) -> None:
    lines = chart("Steps", counts, cells)
    assert len(lines) == 7
    assert len({len(lines), len(chart("Steps", None, cells)), len(chart("Steps", [0] * 32, cells))}) == 1
    if max(counts):
        assert any("▁" in str(text) or "█" in str(text) for row in lines for text, _ in row.parts)


def test_sparklines() -> None:
    assert spark.line([0.0, 0.5, 1.0], 5) == "  ▁▅█"
    assert spark.lag_share(0.0005) == 0
    assert spark.lag_share(0.0316) == pytest.approx(0.5, abs=0.01)
    assert spark.lag_share(9) == 1
    assert spark.bar(0.0, 4) == "    "
    assert spark.bar(0.001, 4) == "▏   "
    assert spark.bar(2, 4) == "████"


# Source


def known(sources: Sources, path: str) -> tuple[str, ...] | str:
    """The lines once they are read; the first answer is that they are asked for."""
    sources._looked.clear()
    sources.lines(path)
    deadline = time.monotonic() + 60
    while sources.reading:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return sources.lines(path)


def test_source_is_read_bounded_and_only_from_files(tmp_path: Path) -> None:
    came: list[int] = []
    sources = Sources(lambda: came.append(1), os.geteuid)
    good = tmp_path / "good.py"
    good.write_text("one\n    two\n\tthree\nfour\n", encoding="utf-8")
    known(sources, str(good))
    assert came == [1]
    assert sources.one(str(good), 2) == "two"
    assert sources.one(str(good), 99) is None
    assert "has only" in str(sources.around(str(good), 99)[0].parts)
    assert sources.changed_after(str(good), 0)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    socket_path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path))
    big = tmp_path / "big.py"
    with big.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    link = tmp_path / "link.py"
    link.symlink_to("/proc/self/environ")
    for path, why in (
        (str(fifo), "not a regular file"), ("/dev/zero", "not a regular file"), (str(big), "too large"),
        (str(socket_path), "not a regular file"), (str(tmp_path), "not a regular file"),
        ("/proc/kmsg", "not a source file"), ("/proc/self/../self/cmdline", "not a source file"),
        (str(link), "not a source file"), ("/sys/kernel/uevent_seqnum", "not a source file"),
        (str(tmp_path / "none.py"), "not on this machine"), ("<string>", "no source"), ("relative.py", "unknown path"),
        ("/\0", "not on this machine"), ("", "unknown path"),
    ):  # fmt: skip
        assert why in known(sources, path), path
        assert why in str(sources.around(path, 1)[0].parts[0][0])
    good.write_text("uno\ndue\n", encoding="utf-8")
    os.utime(good, (1, 1))
    assert known(sources, str(good))[1] == "due", "a file that changed is read again"


def test_a_source_file_swapped_for_a_pipe_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and its opening."""
    path, fifo = tmp_path / "a.py", tmp_path / "fifo"
    path.write_text("one")
    os.mkfifo(fifo)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            other = tmp_path / "other"
            os.link(fifo, other)
            other.replace(path)
            other.write_text("one")
            other.replace(path)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        seen = {str(read_source(str(path), os.geteuid()).lines) for _ in range(3000)}
    finally:
        stop.set()
        swapping.join()
    assert "is not a regular file" in seen
    assert seen <= {"('one',)", "('',)", "is not a regular file", "is not on this machine"}


@pytest.mark.skipif(os.geteuid() != 0, reason="it is root who could read more than the owner of the program")
def test_root_reads_of_a_strangers_program_what_the_stranger_may(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    secret, own, open_to_all = tmp_path / "secret.py", tmp_path / "own.py", tmp_path / "open.py"
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    within = hidden / "open.py"
    for file, mode in ((secret, 0o600), (own, 0o600), (open_to_all, 0o644), (within, 0o644)):
        file.write_text("text")
        file.chmod(mode)
    os.chown(own, 4321, 4321)
    link = tmp_path / "link.py"
    link.symlink_to(secret)
    for stranger in (4321, None):
        for path in (secret, within, link):
            assert "not shown to root" in read_source(str(path), stranger).lines, path
        assert read_source(str(open_to_all), stranger).lines == ("text",)
    assert read_source(str(own), 4321).lines == ("text",)
    assert "not shown to root" in read_source(str(own), 4322).lines
    assert read_source(str(secret), 0).lines == ("text",), "a program of root"


# What a program prints


def test_output_keeps_colours_and_nothing_else() -> None:
    output = Captured()
    output.add(["\x1b[31mred\x1b[0m \x1b[2J\x1b[H\x07plain", "50%\r100%", "a\tb", "x" * 30, "任" * 10, ""])
    lines = output.lines(20)
    text = ["".join(str(part) for part, _ in row.parts) for row in lines]
    assert text == ["red plain", "100%", "a       b", "x" * 20, "x" * 10, "任" * 10, ""]
    assert lines[0].parts[0][1] != "text"
    assert [cell_len(row) for row in text if cell_len(row) > 20] == []


def test_how_a_program_ended() -> None:
    assert status_words(0) == "exited with status 0"
    assert status_words(3) == "exited with status 3"
    assert status_words(-9) == "was killed by signal 9"
    assert status_words(None) == "ended"


# Keys


@pytest.mark.parametrize(
    "screen", [TasksScreen, SlowScreen, EndedScreen, OutputScreen, TaskScreen, BlockingLineScreen, EndScreen]
)
def test_no_key_means_two_things_on_a_screen(screen: type) -> None:
    scopes = set(screen.SCOPES) | ({"page"} if screen is OutputScreen else set())
    pressed = Counter(name for key in keys.of(*scopes) for name in key.keys.split(","))
    assert [name for name, number in pressed.items() if number > 1] == []


def test_every_key_is_told_in_one_table() -> None:
    assert len({key.id for key in keys.KEYS}) == len(keys.KEYS)
    assert {key.scope for key in keys.KEYS} <= set(keys.SCOPES)
    table = keys.keys_table()
    assert all(key.help in table for key in keys.KEYS)
    assert "esc" not in {name for key in keys.KEYS for name in key.keys.split(",")}, "Textual calls it escape"


# Colours and pace


def test_styles_that_are_named_exist() -> None:
    names = {field.name for field in fields(theme.Palette)}
    assert set(theme.STATE_STYLES.values()) <= names
    assert {theme.load_style(share / 10) for share in range(11)} <= names
    assert {theme.delay_style(delay) for delay in (0, 0.05, 3)} <= names
    plain = theme.plain()
    assert all(getattr(plain, name).color is None for name in names)


def test_ticks_that_run_late_halve_the_rate_until_they_are_in_time() -> None:
    rate = TickRate(4.0)
    now = 0.0
    assert not rate.beat(now)
    for _ in range(20):
        now += 0.25
        assert not rate.beat(now)
    now += 0.9
    assert not rate.beat(now), "once is no pattern"
    now += 0.9
    assert rate.beat(now)
    assert (rate.rate, rate.slowed) == (2.0, True)
    changes = 0
    for _ in range(60):
        now += rate.period
        changes += rate.beat(now)
    assert changes == 1
    assert (rate.rate, rate.slowed) == (4.0, False)
    for _ in range(50):
        now += 60
        rate.beat(now)
    assert rate.rate == 0.5


@pytest.mark.parametrize("findings", [1, 4, 12])
def test_what_is_wrong_has_room_in_80_columns(findings: int) -> None:
    store = Store()
    for frame in everything():
        store.apply(frame)
    for worst in ("exception never retrieved", "loop blocked by a line", "deadlock"):
        status = Status("connected", "", 0.0)
        situation = Situation(status, None, 0.1, 0, findings=findings, worst=worst, broken=findings)
        lines = ["".join(text for text, _ in line) for line in header(store, situation, 80)]
        assert f"✗ {worst[:8]}" in lines[2], lines
        assert findings == 1 or f"+{findings - 1}" in lines[2], lines


async def test_a_process_without_a_loop_says_which_child_processes_have_one() -> None:
    async with running(fed=[hello(host=os.uname().nodename)]) as driver:
        driver.app.loops_below = lambda pid: f"2 child processes of {pid} have loops"
        await driver.tick(hello(host=os.uname().nodename, session="session-2"))
        assert "child processes of" in driver.text()
