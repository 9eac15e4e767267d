"""What people type is read in one place: the same text means the same in commands, filters, forms and conditions."""

import time

import pytest

from monitor import parsing
from monitor.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("500ms", 0.5), ("20 µs", 2e-5), (" 10m ", 600.0)],
)
def test_a_duration(text, seconds):
    assert parsing.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "1d", "1S", "nan", "1e3", "²", "10m30s", "5%"])
def test_what_is_not_a_duration(text):
    with pytest.raises(UsageError, match="is not a duration: for example 10m"):
        parsing.duration(text)


def test_a_duration_outside_of_its_limits_is_refused():
    with pytest.raises(UsageError, match="'2h' is not a duration: for example 5m"):
        parsing.duration("2h", "5m", most=3600.0)


@pytest.mark.parametrize(
    ("text", "count"),
    [("512", 512), ("512B", 512), ("1k", 1024), ("200MB", 200 << 20), ("1.5GiB", 3 << 29), ("2 g", 2 << 30)],
)
def test_a_size(text, count):
    assert parsing.size(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1", "1T", "1MM", "M"])
def test_what_is_not_a_size(text):
    assert parsing.size(text) is None


def test_mb_is_the_same_everywhere():
    assert parsing.quantity("1MB", parsing.SIZES) == 1 << 20
    assert parsing.quantity("1MIB", parsing.SIZES) == 1 << 20


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("localhost:7777", ("localhost", 7777)),
        (":7777", ("", 7777)),
        ("[::1]:7777", ("::1", 7777)),
        ("10.0.0.1:99999", ("10.0.0.1", 99999)),
        ("7777", None),
        ("host:", None),
        ("host:-1", None),
        ("host:²", None),
        ("::1:7777", None),
        ("a b:1", None),
    ],
)
def test_host_and_port(text, place):
    assert parsing.host_port(text) == place


def test_a_time_of_day_is_the_next_one_from_the_start_on():
    start = time.mktime((2026, 11, 21, 23, 59, 30, 0, 0, -1))
    assert parsing.time_of_day("23:59:40.5", start) == start + 10.5
    assert parsing.time_of_day("00:01", start) == start + 90
    assert parsing.time_of_day("2026-11-21 23:59", start) == start - 30
    assert parsing.time_of_day("2026-11-21T23:59:31", start) == start + 1
    assert parsing.time_of_day("noon", start) is None
    assert parsing.time_of_day("25:00", start) is None
