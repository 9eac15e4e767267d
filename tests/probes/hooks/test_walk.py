"""Going through the records of all tasks with turns of the program in between, and the first of them by a column."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_hostile_classes import run, twins

from probes.serving import task_query


@pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")
@twins
def test_records_that_come_and_go_during_a_walk(pure: str) -> None:
    lines = run(
        sys.executable,
        pure,
        """
        async def rests(): await asyncio.sleep(600)

        async def main():
            tasks = [asyncio.create_task(rests()) for _ in range(1000)]
            await asyncio.sleep(0)
            ids = {install.record_of(task).id for task in tasks}
            assert ids <= {record.id for record in install.walk(install.records)}
            everything = list(install.walk(install.records))
            for most in (0, 1, 100, 10**6):
                assert list(install.walk(install.records, most)) == everything[:most]
            gone, met = set(), []
            for record in install.walk(install.records):
                met.append(record.id)
                if len(met) == 100:
                    later = [task for task in tasks if install.record_of(task).id not in met][:500]
                    gone = {install.record_of(task).id for task in later}
                    assert len(gone) == 500
                    for task in later: task.cancel()
                    await asyncio.gather(*later, return_exceptions=True)
                    for task in later: install.records.pop(id(task), None)
                    tasks += [asyncio.create_task(rests()) for _ in range(5000)]  # the table grows
            assert len(met) == len(set(met))
            assert ids - gone <= set(met)
            assert len(gone & set(met)) <= 64, "those that had been taken already"
            numbers = memoryview(install.records.keys()).cast("q") if install.NATIVE else list(install.records)
            assert {id(task) for task in tasks if not task.done()} <= set(numbers)
            if install.NATIVE:
                table = install.records
                for keys, start in ((b"", 1), (bytes(8), -1), (bytes(8), 2), (bytes(7), 1)):
                    try: table.some(keys, start, 1)
                    except IndexError: pass
                    else: assert False, (keys, start)
                assert table.some(bytes(16), 0, 9) == table.some(bytes(8), 1, 1) == []
            print("walked")

        asyncio.run(main())
        """,
    )
    assert lines == ["walked"]


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 70), st.sampled_from([0, 4, 1000]))
def test_the_first_are_those_of_a_sort(figures: list[int], limit: int, at_once: int) -> None:
    records: list[Any] = [SimpleNamespace(busy=figure, born=None, number=n) for n, figure in enumerate(figures)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_query, "_SORTED", max(at_once, 1))
        left = iter(records)
        found = task_query.first(left, "busy", limit)
    assert found == sorted(records, key=lambda record: record.busy, reverse=True)[:limit]
    assert not list(left), "each is used up, and so counted"
