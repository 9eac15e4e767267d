"""A question with two answers. Nothing happens without one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.tui.paint import safe

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ConfirmScreen(ModalScreen[bool]):
    """Asks; the answer is the result."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, explanation: str, yes: str, no: str) -> None:
        super().__init__()
        self._text = f"{safe(question)}\n\n{explanation}\n\n  y    {yes}\n  n    {no}"

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(id="confirm"):
            yield Static(self._text, markup=False)

    def action_answer(self, yes: bool) -> None:
        """Ends with the answer."""
        self.dismiss(yes)
