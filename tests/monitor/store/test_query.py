"""Filters as a person types them."""

import msgspec
import pytest
from fake_probe import hello, static, tick
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import USAGE, UsageError
from monitor.protocol import frames
from monitor.store import query
from monitor.store.column import by_key, ordered
from monitor.store.columns import TASKS
from monitor.store.store import Store


@pytest.fixture(scope="module")
def store():
    made = Store()
    for frame in (hello(), static(), tick(waits=[[1, "lock", "Lock(locked)"]])):
        made.apply(frames.decode(msgspec.json.encode(frame)))
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 2, 3]),
        ("worker", [2, 3]),
        ("WORKER", [2, 3]),
        ("app.py:42", [2]),
        ("name:worker-*", [2, 3]),
        ("name:*-1", [2]),
        ("coro:main", [1]),
        ("state:wait", [1, 3]),
        ("-state:waiting", [2]),
        ("busy>0.5", [1]),
        ("busy>500ms", [1]),
        ("busy<100us", [2, 3]),
        ("busy>=1.5s busy<=1.5", [1]),
        ("steps:5", [1]),
        ("steps=5 worker", []),
        ("age>8", [1, 3]),
        ("age<1m", [1, 2, 3]),
        ("idle>0", [1, 2, 3]),
        ("state:waiting idle>1", [1, 3]),  # lower bounds of those that are not counted from their birth
        ("idle>2", [1]),
        ("age>9", [3]),
        ("parent:1", [2]),
        ("loop:1 -main", [2, 3]),
        ("waiting_on:lock", [1]),
        ("http://x", []),
        ("-", [2, 3]),
        ("[/x]", []),
    ],
)
def test_filters(store, text, expected):
    assert [task.id for task in query.matching(store, text)] == expected


@pytest.mark.parametrize(
    "text", ["busy>x", "size>1", "name>3", "busy>1.5.2", "state=waiting", "busy>", "size:1", "stat:wait", "-x:"]
)
def test_terms_that_mean_nothing(text):
    with pytest.raises(UsageError) as caught:
        query.parse(text)
    assert caught.value.status == USAGE
    assert caught.value.hint


@given(st.text(max_size=30))
def test_no_text_is_anything_but_a_filter_or_one_line_of_why_not(text):
    try:
        predicate = query.parse(text)
    except UsageError as error:
        assert str(error)
    else:
        assert callable(predicate)


@pytest.mark.parametrize("column", TASKS, ids=lambda column: column.key)
def test_every_column_has_text_and_order_for_every_task(store, column):
    for task in store.tasks.values():
        assert isinstance(column.text(task, store), str)
    for descending in (False, True):
        assert len(ordered(list(store.tasks.values()), column, store, descending)) == 3
    assert column.help
    assert by_key(TASKS, column.key) is column


def test_what_is_not_known_comes_last_whichever_way(store):
    column = by_key(TASKS, "scheduled")
    for descending in (False, True):
        assert ordered(list(store.tasks.values()), column, store, descending)[-1].scheduled is None


def test_what_is_not_known_of_the_past_is_a_lower_bound(store):
    age, idle = by_key(TASKS, "age"), by_key(TASKS, "idle")
    one, two, three = store.tasks.values()
    assert (age.text(one, store), age.text(two, store), age.text(three, store)) == ("8s", "4s", "≥9s")
    assert (idle.text(one, store), idle.text(two, store), idle.text(three, store)) == ("7s", "≥1s", "≥1s")
    assert [task.id for task in ordered([one, two, three], age, store, True)] == [3, 1, 2]
