"""A confirmation dialog: Enter confirms, Esc goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.tui.base.paint import safe

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ConfirmScreen(ModalScreen[bool]):
    """Asks a question; the result is True if confirmed."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter,y", "answer(True)", "Yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, explanation: str, yes: str) -> None:
        super().__init__()
        self._text = f"{safe(question)}\n\n{explanation}\n"
        self._keys = f"Enter {yes}   Esc back"

    def compose(self) -> ComposeResult:
        """Shows the question and the keys."""
        with Vertical(id="confirm"):
            yield Static(self._text, markup=False)
            yield Static(self._keys, classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Closes the dialog with the answer."""
        self.dismiss(yes)
