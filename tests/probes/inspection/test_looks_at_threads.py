"""Looks at threads again and again: what has not run since is not read again."""

import threading

from waiting import wait_until

from probes.base.sites import Tables
from probes.inspection import threads
from probes.serving import thread_looks


def test_a_thread_that_has_slept_since_the_look_before_is_as_it_was() -> None:
    go_on, end, asked, tables, seen = threading.Event(), threading.Event(), [], Tables(), threads.Seen()

    def first() -> None:
        go_on.wait()

    def second() -> None:
        end.wait()

    def doing(native: int) -> str:
        asked.append(native)
        return ""

    def functions() -> set[str]:
        asked.clear()
        found = threads.read(set(), doing, tables, seen=seen)["rows"]
        (row,) = (row for row in found if row["native"] == thread.native_id)
        return {tables.strings[tables.sites[site][2]].rpartition(".")[2] for site in row["stack"]}

    thread = threading.Thread(target=lambda: (first(), second()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: thread.native_id and "first" in functions() and thread.native_id not in asked, "the same")
        go_on.set()
        wait_until(lambda: "second" in functions(), "where it is now")
        wait_until(lambda: "second" in functions() and thread.native_id not in asked, "the same again")
        few = threads.read(set(), doing, tables, seen=seen, most=1)
        assert len(few["rows"]) <= 1
    finally:
        end.set()
        thread.join()


def test_looks_of_the_black_box_take_a_small_share_of_a_core(monkeypatch) -> None:
    clock, costs, looks = [0.0], iter([0.0001, 0.0001, 0.0051, 0.01, 0.0001]), thread_looks.ThreadLooks()
    monkeypatch.setattr(thread_looks, "thread_time", lambda: clock[0])

    def read(_seen: threads.Seen, most: int) -> dict[str, int]:
        clock[0] += next(costs)
        return {"most": most}

    looks.begin(70)
    taken = [(now, looks.next(now, read)) for now in (0.0, 0.5, 1.0, 10.5, 11.0, 36.0)]
    assert [now for now, look in taken if look] == [0.0, 1.0, 11.0]
    looks.begin(50)
    assert looks.next(36.2, read) == {"most": 70}  # a segment begins with the last one
    assert looks.next(36.6, read) == {"most": 50}
    assert looks.next(66.5, read) is None  # it took longer, but nobody waits for 50 s
    assert looks.next(66.7, read) == {"most": 50}
