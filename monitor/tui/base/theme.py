"""Colours by meaning. No meaning is carried by colour alone: a word or a glyph always goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.color import Color as RichColor

THEME = Theme(
    name="looptop",
    primary="#7aa2d8",
    secondary="#5f87af",
    accent="#e0b06a",
    foreground="#c8ccd4",
    background="#14171c",
    surface="#181c22",
    panel="#20252d",
    success="#83b97f",
    warning="#e0b06a",
    error="#e2777a",
    dark=True,
    variables={
        "scrollbar": "#343b46",
        "scrollbar-hover": "#4a5362",
        "scrollbar-active": "#5c6779",
        "scrollbar-background": "#14171c",
        "scrollbar-background-hover": "#14171c",
        "scrollbar-background-active": "#14171c",
        "scrollbar-corner-color": "#14171c",
        "input-selection-background": "#3a4a63",
    },
)
PLAIN_THEME = "ansi-dark"
"""For NO_COLOR: the terminal's own colours, nothing else."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The styles of the dashboard. Field names are the style names that parts carry."""

    text: Style
    strong: Style
    dim: Style
    faint: Style
    accent: Style
    good: Style
    warn: Style
    bad: Style
    key: Style  # a key in the footer
    chip: Style  # a figure or state that must stand out
    alarm: Style
    heading: Style
    column: Style  # a column title
    sorted: Style  # the title of the sort column
    tab: Style
    bar: Style
    blame: Style  # the blamed line of source
    cursor: Style  # laid over the line under the cursor
    group1: Style  # a label: each has one of these, the same on every screen
    group2: Style
    group3: Style
    group4: Style
    group5: Style


def plain() -> Palette:
    """A palette without colour: bold, dim and reverse only."""
    none, bold, dim, reverse = Style(), Style(bold=True), Style(dim=True), Style(reverse=True)
    strong_reverse = Style(bold=True, reverse=True)
    return Palette(
        text=none,
        strong=bold,
        dim=dim,
        faint=dim,
        accent=bold,
        good=none,
        warn=bold,
        bad=bold,
        key=bold,
        chip=strong_reverse,
        alarm=strong_reverse,
        heading=bold,
        column=Style(underline=True),
        sorted=Style(bold=True, underline=True),
        tab=strong_reverse,
        bar=none,
        blame=bold,
        cursor=reverse,
        group1=none,
        group2=none,
        group3=none,
        group4=none,
        group5=none,
    )


_HUES = (190, 265, 45, 95, 325)
"""Of labels, in degrees: apart from each other, and paler than the colours that mean something."""


def coloured(variables: Mapping[str, str]) -> Palette:
    """A palette from the variables of any Textual theme, so that themes of the command palette apply."""
    background = Color.parse(variables["background"])

    def colour(name: str, share: float = 1.0) -> RichColor:
        return background.blend(Color.parse(variables[name]), share).rich_color

    def ink(name: str, share: float = 1.0, bold: bool = False) -> Style:
        return Style(color=colour(name, share), bgcolor=ground, bold=bold or None)

    def pale(hue: int) -> Style:
        return Style(
            color=Color.from_hsl(hue / 360, 0.45, 0.7 if background.brightness < 0.5 else 0.32).rich_color,
            bgcolor=ground,
        )

    ground = background.rich_color
    first, second, third, fourth, fifth = map(pale, _HUES)
    raised = background.blend(Color.parse(variables["primary"]), 0.13).rich_color
    return Palette(
        text=ink("foreground"),
        strong=ink("foreground", bold=True),
        dim=ink("foreground", 0.62),
        faint=ink("foreground", 0.4),
        accent=ink("primary"),
        good=ink("success"),
        warn=ink("warning"),
        bad=ink("error"),
        key=ink("primary", bold=True),
        chip=Style(color=ground, bgcolor=colour("warning"), bold=True),
        alarm=Style(color=ground, bgcolor=colour("error"), bold=True),
        heading=ink("primary", bold=True),
        column=Style(color=colour("foreground", 0.62), bgcolor=raised),
        sorted=Style(color=colour("primary"), bgcolor=raised, bold=True),
        tab=Style(color=ground, bgcolor=colour("primary"), bold=True),
        bar=ink("primary", 0.8),
        blame=ink("warning", bold=True),
        cursor=Style(bgcolor=background.blend(Color.parse(variables["primary"]), 0.24).rich_color),
        group1=first,
        group2=second,
        group3=third,
        group4=fourth,
        group5=fifth,
    )


STATE_STYLES = {
    "running": "good",
    "scheduled": "accent",
    "waiting": "dim",
    "done": "good",
    "cancelled": "warn",
    "failed": "bad",
    "unhandled": "bad",
    "gone": "faint",
    "ended": "dim",
}


def label_style(label: str | None) -> str:
    """The style of a label; that of text for none."""
    return f"group{crc32(label.encode()) % len(_HUES) + 1}" if label else "text"


def load_style(share: float | None) -> str:
    """The style for a share of the loop's time: calm below 50 %, a warning below 90 %."""
    if share is None or share < 0.005:
        return "faint"
    return "text" if share < 0.5 else "warn" if share < 0.9 else "bad"


def delay_style(seconds: float, slow: float = 0.1) -> str:
    """The style for a lag or a step, relative to the threshold of slow callbacks."""
    if seconds >= slow:
        return "bad"
    return "warn" if seconds >= slow / 5 else "text"
