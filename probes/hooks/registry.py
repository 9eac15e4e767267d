"""Installs and removes hooks. A hook that raises is removed and reported; replacements by others are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.settings import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

_MISSING = object()


class Hook:
    """One attribute of a class or module that is replaced while the hook is on."""

    __slots__ = ("_make", "_own", "_replacement", "attribute", "name", "target")

    def __init__(self, name: str, target: Any, attribute: str, make: Callable[[Any], Any]) -> None:
        """`make(original)` returns the replacement. `name` is shown to viewers."""
        self.name = name
        self.target = target
        self.attribute = attribute
        self._make = make
        self._own: Any = _MISSING
        self._replacement: Any = None

    @property
    def on(self) -> bool:
        """Whether the replacement is in place."""
        return self._replacement is not None

    def install(self) -> None:
        """Replaces the attribute; the replacement has the name and signature of the original."""
        if self.on:
            return
        self._own = vars(self.target).get(self.attribute, _MISSING)
        original = getattr(self.target, self.attribute)
        replacement = self._make(original)
        function = getattr(replacement, "__func__", replacement)  # of a class method
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            value = getattr(original, name, None)
            if value is not None:
                setattr(function, name, value)
        function.__wrapped__ = original
        setattr(self.target, self.attribute, replacement)
        self._replacement = replacement

    def remove(self) -> bool:
        """Restores the original. Does nothing and returns False if the hook itself has been replaced since."""
        if not self.on:
            return True
        if vars(self.target).get(self.attribute) is not self._replacement:
            return False
        if self._own is _MISSING:
            delattr(self.target, self.attribute)
        else:
            setattr(self.target, self.attribute, self._own)
        self._replacement = None
        return True


class Registry:
    """The hooks of a probe: those installed, those left in place, and those that failed."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """`report(text)` is called with one line when a hook is switched off or cannot be removed."""
        self._report = report
        self.hooks: list[Hook] = []
        self._left: list[Hook] = []
        self.failed: dict[str, str] = {}

    def add(self, hook: Hook) -> None:
        """Installs a hook, unless one of the same name has failed before."""
        if hook.name in self.failed:
            return
        for left in [left for left in self._left if (left.target, left.attribute) == (hook.target, hook.attribute)]:
            self._left.remove(left)
            if not left.remove():
                self.hooks.append(left)  # it still works below the other replacement; a second would count twice
                return
        try:
            hook.install()
        except Exception as error:
            self._give_up(hook.name, error)
        else:
            self.hooks.append(hook)

    def remove(self, name: str) -> None:
        """Removes the hooks of a name; one that has been replaced since stays and is reported."""
        for hook in [hook for hook in self.hooks if hook.name == name]:
            self.hooks.remove(hook)
            if not hook.remove():
                self._left.append(hook)
                self._report(f"{hook.name} left in place: something else has replaced {hook.attribute} since")

    def remove_all(self) -> None:
        """Removes every hook, the last one first."""
        for hook in reversed(self.hooks[:]):
            self.remove(hook.name)

    def fail(self, name: str, error: Exception) -> None:
        """Removes a hook for good because it raised. Never raises itself: hooks call it inside the program."""
        try:
            if name in self.failed:
                return
            self._give_up(name, error)
            self.remove(name)
        except Exception:
            return

    def _give_up(self, name: str, error: Exception) -> None:
        self.failed[name] = text = text_of(error)
        self._report(f"the hook {name} failed and is off: {text}")
