"""What a bounded ring lets go, and what never goes for it."""

from probes.sampling.journal import Journal


def test_what_ends_well_pushes_out_neither_a_failure_nor_a_slow_callback() -> None:
    journal = Journal(10)
    journal.add("slow_callback", duration=1)
    journal.add("task_ended", outcome="failed", task=1)
    for number in range(100):
        journal.add("task_ended", outcome="done", task=number)
    told = journal.since(0)
    assert [event["seq"] for event in told] == [1, 2, *range(93, 103)]
    assert [event["seq"] for event in journal.since(95)] == list(range(96, 103))
    assert journal.since(102) == []
