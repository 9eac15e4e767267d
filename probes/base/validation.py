"""The fields of what a viewer sends, each checked before any of it is taken: one line says what would have fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings

Frame = dict[str, Any]


class BadRequestError(ValueError):
    """What a viewer sent does not fit; one line for it."""


def number(frame: Frame, name: str, least: float, most: float) -> float:
    """A number of a range. Raises BadRequestError, as all of these do."""
    value = frame[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise BadRequestError(f"{name}: a number from {least} to {most}")
    return value


def integer(frame: Frame, name: str, otherwise: int, least: int, most: int) -> int:
    """A whole number of a range, `otherwise` where it is left out."""
    value = frame.get(name, otherwise)
    if type(value) is not int or not least <= value <= most:
        raise BadRequestError(f"{name}: a whole number from {least} to {most}")
    return value


def choice(frame: Frame, name: str, words: tuple[str, ...], otherwise: str) -> str:
    """One of some words, `otherwise` where it is left out."""
    value = frame.get(name, otherwise)
    if value not in words:
        raise BadRequestError(f"{name}: one of {', '.join(words)}")
    return str(value)


def text(frame: Frame, name: str) -> str | None:
    """A short text; None for an empty one and where it is left out."""
    value = frame.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 1000):
        raise BadRequestError(f"{name}: a text of at most 1000 characters, or null")
    return value or None


def flag(frame: Frame, name: str) -> bool:
    """Return a field that must be true or false; BadRequestError otherwise."""
    value = frame[name]
    if not isinstance(value, bool):
        raise BadRequestError(f"{name}: true or false")
    return value


def require_control(settings: Settings) -> None:
    """Raises BadRequestError where viewers may change nothing."""
    if not settings.control:
        raise BadRequestError("this probe allows no control (control is off)")
