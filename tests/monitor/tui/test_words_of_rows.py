"""What is typed into the filter of Slow, Ended and Findings: words, or a word of one column."""

import msgspec
from fake_probe import event, hello, static, tick

from monitor import frames
from monitor.store.store import Store
from monitor.tui.rows import EndedRows


def test_words_and_words_of_a_column():
    store = Store()
    ends = [event(n, "task_ended", task=n, name=name, coro="job", outcome=how) for n, name, how in (
        (1, "failed-over", "done"), (2, "b", "failed"), (3, "c", "cancelled")
    )]  # fmt: skip
    for frame in (hello(), static(), tick(), *ends):
        store.apply(frames.decode(msgspec.json.encode(frame)))
    rows = EndedRows(store)

    def found(typed: str) -> list[str]:
        rows.words = tuple(typed.split())
        rows.arrange(store)
        return sorted(row.name for row in rows.rows)

    assert found("failed") == ["b", "failed-over"]
    assert found("outcome:failed") == ["b"]
    assert found("coro:job outcome:cancelled") == ["c"]
    assert found("outcome:") == found("nothing:failed") == []
