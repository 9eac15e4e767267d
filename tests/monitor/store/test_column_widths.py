"""Columns are chosen by priority, and cells are shared evenly."""

import pytest

from monitor.store.column_widths import Size, choose, share

SIZES = [Size(1, 10, 10), Size(3, 20, 20), Size(2, 10, 16), Size(4, 5, 5)]


@pytest.mark.parametrize(
    ("cells", "squeezed", "skip", "chosen"),
    [
        (1, 0, False, [0]),
        (21, 2, False, [0, 2]),
        (21, 1, False, [0]),
        (33, 1, False, [0, 2]),
        (33, 1, True, [0, 2, 3]),
        (54, 1, False, [0, 1, 2, 3]),
    ],
)
def test_columns_that_fit(cells, squeezed, skip, chosen):
    assert choose(SIZES, cells, 1, squeezed=squeezed, skip=skip) == chosen


def test_a_column_of_priority_0_is_always_there():
    assert choose([Size(0, 30, 30), Size(0, 30, 30), Size(1, 1, 1)], 10, 2) == [0, 1]


@pytest.mark.parametrize(
    ("cells", "widths", "rest"),
    [(0, [1, 2, 3], 0), (3, [3, 3, 3], 0), (8, [6, 5, 3], 0), (13, [8, 8, 3], 0), (20, [10, 9, 3], 4)],
)
def test_cells_are_shared_in_stages(cells, widths, rest):
    shared = [1, 2, 3]
    assert share(shared, cells, ([4, 4, 3], [10, 9, 3])) == rest
    assert shared == widths
