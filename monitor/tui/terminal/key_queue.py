"""Type-ahead: keys typed faster than the screen follows go to the widget that has focus when they are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar
from weakref import WeakKeyDictionary

from textual.app import App
from textual.events import Key

if TYPE_CHECKING:
    from textual.events import Event
    from textual.widget import Widget

Result = TypeVar("Result")


class KeyQueueApp(App[Result], Generic[Result]):
    """Corrects the target of queued keys."""

    _aims: ClassVar[WeakKeyDictionary[Key, Widget]] = WeakKeyDictionary()

    async def on_event(self, event: Event) -> None:
        """Remembers the widget that Textual targets with a key."""
        if isinstance(event, Key) and not event.is_forwarded:
            if not self._screen_stack:  # a key that was still queued when the app closed
                return
            self._aims[event] = self.focused or self.screen
        await super().on_event(event)

    async def _on_key(self, event: Key) -> None:
        """Sends an unhandled key again if the focus moved after the key was queued."""
        aim = self._aims.pop(event, None)
        if aim is not None and self._screen_stack and aim is not (self.focused or self.screen):
            event.prevent_default()
            await self.on_event(Key(event.key, event.character))
