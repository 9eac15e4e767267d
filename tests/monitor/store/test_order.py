"""The order of rows: by what a column says of each, what is not known last, and rows that are equal as they were."""

import pytest
from fake_probe import hello
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from monitor.protocol import frames
from monitor.store.column import ordered
from monitor.store.columns import TASKS
from monitor.store.model import Site, Task
from monitor.store.store import Store

SITES = [None, *(Site(file, line, "f") for file in ("/a/b.py", "/a/a.py") for line in (9, 10))]
some = st.floats(0, 3, width=16)
tasks = st.builds(
    Task,
    id=st.integers(1, 9),
    name=st.sampled_from(["", "a", "b"]),
    coro=st.sampled_from(["", "c", "d"]),
    loop=st.just(1),
    born=st.none() | some,
    counted=st.none() | some,
    parent=st.just(0),
    site=st.sampled_from(SITES).map(lambda site: site and replace(site)),  # equal ones need not be one object
    born_before_attach=st.booleans(),
    eager=st.booleans(),
    seen=st.just(1.0),
    state=st.integers(0, 2),
    steps=st.integers(0, 3),
    busy=some,
    scheduled=st.none() | some,
    max_step=some,
    share=some,
    wait_kind=st.sampled_from([None, "lock", "sleep"]),
)


@pytest.mark.parametrize("column", [column for column in TASKS if column.sort is not None], ids=lambda one: one.key)
@pytest.mark.parametrize("capabilities", [[], ["read-only"]])
def test_a_column_orders_by_what_it_says_of_each(column, capabilities):
    store = Store()
    store.apply(frames.decode(json.encode(hello(capabilities=capabilities))))
    store.now = 2.0

    @settings(max_examples=30)
    @given(st.lists(tasks, max_size=8), st.booleans())
    def orders(rows, descending):
        told = [(column.sort(row, store), row) for row in rows]
        known = sorted((pair for pair in told if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
        expected = [row for _, row in known] + [row for value, row in told if value is None]
        assert list(map(id, ordered(rows, column, store, descending))) == list(map(id, expected))

    orders()
