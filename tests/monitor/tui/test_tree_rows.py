"""The tree of tasks, against the plainest way to draw one."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.store.model import Task
from monitor.store.store import Store
from monitor.tui.rows.tasks import TreeRows


def task(number, parent, busy):
    return Task(
        id=number,
        name=f"t{number}",
        coro="c",
        loop=1,
        born=1.0,
        counted=None,
        parent=parent,
        site=None,
        born_before_attach=False,
        eager=False,
        seen=1.0,
        busy=float(busy),
    )


def plainly(rows, kept, folded):
    """Depth first with an eye on each pair."""
    drawn = []

    def draw(one, depth):
        drawn.append((one.id, depth))
        if one.id not in folded:
            for child in rows:
                if child.parent == one.id and child is not one:
                    draw(child, depth + 1)

    for one in rows:
        if one.parent not in kept or one.parent == one.id:
            draw(one, 0)
    return drawn


numbers = st.integers(1, 9)


@given(
    st.lists(st.tuples(numbers, st.integers(0, 9), st.integers(0, 3)), unique_by=lambda one: one[0]),
    st.sets(numbers),
    st.none() | st.sets(numbers),
    st.booleans(),
)
def test_a_tree_is_in_the_order_that_the_plainest_way_gives(facts, folded, passing, descending):
    store = Store()
    for number, parent, busy in facts:
        store.tasks.add(task(number, parent, busy))
    rows = TreeRows(store)
    rows.folded, rows.sort_key, rows.descending = folded, "busy", descending
    kept = set(store.tasks)
    if passing is not None:
        rows.predicate = lambda one, store: one.id in passing
        kept = {number for number in passing if number in store.tasks}
        for number in list(kept):
            while (number := store.tasks[number].parent) in store.tasks and number not in kept:
                kept.add(number)
    rows.arrange(store)
    ids = list(store.tasks) if passing is None else sorted(kept)
    by_busy = sorted((store.tasks[number] for number in ids), key=lambda one: one.busy, reverse=descending)
    assert [(one.id, rows._levels.get(one.parent, 0) * (one.parent != one.id)) for one in rows.rows] == plainly(
        by_busy, kept, folded
    )
    assert [rows.index(one.id) for one in rows.rows] == list(range(len(rows)))
