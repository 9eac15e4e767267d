"""The filter below a table, applied while typing. An invalid filter shows an error and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from monitor.tui.base.keys import bindings

if TYPE_CHECKING:
    from textual.app import ComposeResult


class FilterInput(Input):
    """The text field of the filter."""

    BINDINGS: ClassVar[list[Any]] = bindings("filter")

    def action_done(self) -> None:
        """Keeps the filter and returns to the table."""
        self.post_message(FilterBar.Closed(keep=True))

    def action_clear(self) -> None:
        """Clears the filter and returns to the table."""
        self.post_message(FilterBar.Closed(keep=False))


class FilterBar(Vertical):
    """The filter with its count; hidden while empty."""

    DEFAULT_CSS = """
    FilterBar { height: auto; display: none; }
    FilterBar.-shown { display: block; }
    FilterBar > #filter-error { height: 1; color: $error; text-style: bold; display: none; }
    FilterBar.-bad > #filter-error { display: block; }
    FilterBar > Horizontal { height: 1; }
    FilterBar #filter-sign { width: 3; color: $primary; text-style: bold; }
    FilterBar #filter-found { width: auto; color: $foreground 60%; padding: 0 1; }
    FilterBar FilterInput { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    """

    class Changed(Message):
        """Posted when the text has changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """Posted when the user leaves the filter; `keep` is false if it is to be cleared."""

        def __init__(self, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        """Builds the error line, the text field and the count."""
        yield Static("", id="filter-error", markup=False)
        with Horizontal():
            yield Static(" / ", id="filter-sign", markup=False)
            box = FilterInput(placeholder=self._placeholder, compact=True, select_on_focus=False, id="filter-text")
            box.cursor_blink = False
            yield box
            yield Static("", id="filter-found", markup=False)

    @property
    def text(self) -> str:
        """The text of the filter."""
        return self.query_one(FilterInput).value

    def open(self) -> None:
        """Shows and focuses the filter."""
        self.add_class("-shown")
        self.screen.set_focus(self.query_one(FilterInput))  # at once: the next key may have arrived already

    def clear(self) -> None:
        """Empties and hides the filter."""
        self.query_one(FilterInput).value = ""
        self.remove_class("-shown")
        self.remove_class("-bad")

    def say(self, found: str, error: str = "") -> None:
        """Shows the count, and an error if the filter is invalid."""
        self.query_one("#filter-found", Static).update(found)
        self.set_class(bool(error), "-bad")
        self.query_one("#filter-error", Static).update(" ✗ " + error if error else "")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Post the text to the screen."""
        event.stop()
        self.post_message(self.Changed(event.value))
