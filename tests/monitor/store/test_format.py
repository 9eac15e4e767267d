"""Figures for people: short, right, and one line whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor import formatting as fmt


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0"),
        (4e-7, "0"),
        (12e-6, "12µs"),
        (0.0009996, "1.00ms"),
        (0.00124, "1.24ms"),
        (0.823, "823ms"),
        (0.99949, "999ms"),
        (0.9996, "1.00s"),
        (4.31, "4.31s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3599.6, "1h00m"),
        (11520, "3h12m"),
        (446400, "5d04h"),
        (-0.5, "-500ms"),
    ],
)
def test_durations(seconds, text):
    assert fmt.duration(seconds) == text


@given(st.floats(0, 8e6))
def test_durations_are_short(seconds):
    assert len(fmt.duration(seconds)) <= 6


@given(st.integers(0, 1 << 49))
def test_sizes_and_counts_are_short(number):
    assert len(fmt.size(min(number, 1 << 40))) <= 8
    assert len(fmt.count(min(number, 99_000_000))) <= 6
    assert len(fmt.rate(min(number, 9_000_000))) <= 7


def test_sizes_counts_rates_and_shares():
    assert [fmt.size(n) for n in (None, 812, 1536, 39_000_000, 1 << 34)] == [
        "–",
        "812B",
        "1.5KiB",
        "37.2MiB",
        "16.0GiB",
    ]
    assert [fmt.count(n) for n in (None, 812, 10432, 99_999, 1_240_000)] == ["–", "812", "10432", "99999", "1.24M"]
    assert [fmt.rate(n) for n in (None, 0.01, 0.3, 12, 4200, 42_000)] == ["–", "0", "0.3", "12", "4200", "42.0k"]
    assert [fmt.several(n, "thread") for n in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]
    assert [fmt.several(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]
    assert [fmt.percent(n) for n in (None, 0, 0.032, 0.87, 1)] == ["–", "0%", "3.2%", "87%", "100%"]


@given(st.text(max_size=50))
def test_cleaned_text_is_one_printable_line(text):
    cleaned = fmt.clean(text)
    assert cleaned.isprintable()
    assert len(cleaned) == len(text)
    assert cell_len(cleaned) >= 0


def test_what_would_move_the_cursor_or_turn_the_line_is_seen():
    assert fmt.clean("a\x1b[2Jb\nc\u202ed\x7f") == "a␛[2Jb␊c�d␡"
    assert fmt.clean("名前 é [/x]") == "名前 é [/x]"


def test_paths():
    assert fmt.short_path("/srv/app/x.py", ("/srv/app/",)) == "x.py"
    project = ("/srv/app", "/srv/app/.venv/lib/python3.12/site-packages/")
    assert fmt.short_path("/srv/app/.venv/lib/python3.12/site-packages/aiohttp/web.py", project) == "aiohttp/web.py"
    assert fmt.short_path("/a/b/c/d.py") == "c/d.py"
    assert fmt.short_path("<frozen x>") == "<frozen x>"
    assert fmt.short_path("x.py") == "x.py"
