"""The line of tabs: the main screens with their counts, shortened to fit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab. `count` is None for a screen that counts nothing."""

    mode: str
    title: str
    short: str
    count: str | None = None


def texts(tabs: Sequence[Tab], chosen: str, cells: int) -> list[str]:
    """The texts of all tabs in the longest form that fits; the current one is shortened last."""
    found: list[str] = []
    for form in _FORMS:
        found = [form(number, tab, tab.mode == chosen) for number, tab in enumerate(tabs, 1)]
        if sum(map(len, found)) <= cells:
            break
    return found


def named(tabs: Sequence[Tab], chosen: str, cells: int) -> bool:
    """Whether the titles fit: numbers alone would say nothing."""
    return sum(len(_tight(number, tab, tab.mode == chosen)) for number, tab in enumerate(tabs, 1)) <= cells


def _long(number: int, tab: Tab, _chosen: bool) -> str:
    return f" {number} {tab.title}{'' if tab.count is None else ' ' + tab.count} "


def _shorter(number: int, tab: Tab, chosen: bool) -> str:
    return _long(number, tab if chosen else Tab(tab.mode, tab.short, tab.short, tab.count), chosen)


def _bare(number: int, tab: Tab, chosen: bool) -> str:
    return _long(number, tab, True) if chosen else f" {number} {tab.short} "


def _tight(number: int, tab: Tab, chosen: bool) -> str:
    return _bare(number, tab, True) if chosen else f" {number} {tab.short}"


def _numbers(number: int, tab: Tab, chosen: bool) -> str:
    return _long(number, tab, True) if chosen else f" {number} "


_FORMS: tuple[Callable[[int, Tab, bool], str], ...] = (_long, _shorter, _bare, _tight, _numbers)
