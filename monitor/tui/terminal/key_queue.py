"""Keys that are typed faster than the screen follows: each is for who has the keys when its turn comes."""

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
    """Textual aims a key when it comes. What is typed after `/` was aimed at the table: its `c` cancelled a task."""

    _aims: ClassVar[WeakKeyDictionary[Key, Widget]] = WeakKeyDictionary()

    async def on_event(self, event: Event) -> None:
        """Notes whom a key is aimed at."""
        if isinstance(event, Key) and not event.is_forwarded:
            self._aims[event] = self.focused or self.screen
        await super().on_event(event)

    async def _on_key(self, event: Key) -> None:
        """A key that nobody took: the keys may have gone to somebody else since it was aimed."""
        aim = self._aims.pop(event, None)
        if aim is not None and aim is not (self.focused or self.screen):
            event.prevent_default()
            await self.on_event(Key(event.key, event.character))
