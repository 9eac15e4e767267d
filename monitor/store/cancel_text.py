"""Describes who cancelled a task: `by #7 refresh() at app.py:42`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from monitor import formatting as fmt
from monitor.store.task_names import is_given, title

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import CancelledBy


def named(by: CancelledBy, title_of: Callable[[int | None], str]) -> CancelledBy:
    """Add what tasks without a given name are called. `title_of` returns an empty text if that is not known."""
    found = (
        by.title or ("" if is_given(by.name) else title_of(by.task)),
        by.through_title or ("" if is_given(by.through_name) else title_of(by.through)),
    )
    return by if found == (by.title, by.through_title) else replace(by, title=found[0], through_title=found[1])


def words(by: CancelledBy, roots: tuple[str, ...] = ()) -> str:
    """Return the text that follows `cancelled`. Paths are shortened by the folders in `roots`."""
    name = by.title or title(by.task, by.name, "")
    line = f" at {fmt.place(by.site.file, by.site.line, roots=roots)}" if by.site is not None else ""
    match by.how:
        case "call":
            text = f"by {name or 'a callback'}{line}"
        case "timeout":
            text = f"by a timeout{line}"
        case "group":
            text = f"by its TaskGroup, since {name or 'another'} failed"
        case "body":
            text = f"by its TaskGroup, which {name or 'its owner'} left with an exception"
        case "end":
            text = "by asyncio.run, when the main task had ended"
        case "interrupt":
            text = "by Ctrl-C"
        case _:
            text = ""
    if by.through is not None:
        other = by.through_title or title(by.through, by.through_name, "")
        with_it = f"together with {other}" if by.asked else f"with {other}, which it awaited"
        return f"{with_it}: {text}" if text else with_it
    if not by.asked and by.how == "call":
        text += ", which cancelled what it waited for"
    return text
