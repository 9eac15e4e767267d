"""A dialog with text fields. Invalid input shows an error and keeps the dialog open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from monitor.errors import LooptopError
from monitor.tui.base.paint import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult


@dataclass(frozen=True, slots=True)
class Field:
    """One text field with its label and initial value."""

    label: str
    value: str
    note: str = ""


class FormScreen(ModalScreen[Any]):
    """Asks for texts; the result is what `read` returns for them, or None if cancelled."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "leave", "No", show=False, priority=True),
        Binding("enter", "done", "Yes", show=False, priority=True),
        Binding("down", "app.focus_next", "Next", show=False, priority=True),
        Binding("up", "app.focus_previous", "Previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    FormScreen > Vertical { width: 72; max-width: 94%; height: auto; border: round $primary; background: $surface;
                            padding: 1 2; }
    FormScreen Static { width: 1fr; height: auto; }
    FormScreen Horizontal { height: 1; margin: 0 0 0 2; }
    FormScreen Horizontal > .label { width: 12; color: $foreground 70%; }
    FormScreen Horizontal > .note { width: 1fr; color: $foreground 50%; padding: 0 0 0 2; }
    FormScreen Input { width: 14; height: 1; border: none; padding: 0 1; background: $panel; }
    FormScreen .-long Input { width: 1fr; }
    FormScreen Input:focus { background: $primary 35%; }
    FormScreen #form-error { color: $error; text-style: bold; margin: 1 0 0 0; display: none; }
    FormScreen #form-keys { margin: 1 0 0 0; color: $foreground 70%; }
    """

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        read: Callable[[Sequence[str]], Any],
        yes: str,
        explain: Callable[[Sequence[str]], str] = lambda _: "",
    ) -> None:
        """`read` raises LooptopError for invalid texts; `explain` returns a text that follows the input."""
        super().__init__()
        self._refused: list[str] | None = None
        self._title, self._fields, self._read, self._yes, self._explain = title, fields, read, yes, explain

    def compose(self) -> ComposeResult:
        """Shows the title, an explanation, the fields and the keys."""
        with Vertical():
            yield Static(safe(self._title), markup=False)
            yield Static("", id="form-text", markup=False)
            for field in self._fields:
                with Horizontal(classes="" if field.note else "-long"):
                    yield Static(field.label, classes="label", markup=False)
                    box = Input(field.value, compact=True)
                    box.cursor_blink = False
                    yield box
                    if field.note:
                        yield Static(field.note, classes="note", markup=False)
            yield Static("", id="form-error", markup=False)
            more = "   ↑↓ next field" if len(self._fields) > 1 else ""
            yield Static(f"Enter {self._yes}   Esc back{more}", id="form-keys", markup=False)

    @property
    def texts(self) -> list[str]:
        """The texts of all fields."""
        return [box.value.strip() for box in self.query(Input)]

    def on_mount(self) -> None:
        """Focuses the first field."""
        self.query(Input).first().focus()
        self._report()

    def on_input_changed(self) -> None:
        """Updates the explanation and hides an error that no longer applies."""
        if self.texts != self._refused:
            self.query_one("#form-error").display = False
        self._report()

    def _report(self) -> None:
        text = self._explain(self.texts)
        self.query_one("#form-text", Static).update(f"\n{text}\n" if text else "")

    def action_done(self) -> None:
        """Closes with the result, or shows the error."""
        try:
            result = self._read(self.texts)
        except LooptopError as error:
            self._refused = self.texts
            line = self.query_one("#form-error", Static)
            line.update(f"✗ {safe(str(error))}")
            line.display = True
            return
        self.dismiss(result)

    def action_leave(self) -> None:
        """Closes without a result."""
        self.dismiss(None)
