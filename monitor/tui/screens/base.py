"""The base of all screens: header, tabs, banner and footer around a body."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Input, Static

from monitor.tui.base.keys import bindings, by_id, hints
from monitor.tui.base.paint import Part, spread, width
from monitor.tui.widgets import tabs
from monitor.tui.widgets.banner import blocked_lately
from monitor.tui.widgets.header import header
from monitor.tui.widgets.lines import Lines
from monitor.tui.widgets.timeline import Timeline
from monitor.tui.widgets.timeline import lines as timeline_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from monitor.store.store import Store
    from monitor.tui.screens.dashboard import ScreensDashboard
    from monitor.tui.widgets.tabs import Tab

SMALLEST = (56, 12)


class WholeScreen(Screen[None]):
    """A screen that knows when it is fully mounted."""

    @property
    def whole(self) -> bool:
        """Whether the screen and all its widgets are mounted, and it is not being removed."""
        return self.is_mounted and self.is_running and not self._pruning


class LiveScreen(WholeScreen):
    """A screen that repaints from the store at every tick."""

    MODE = ""
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views")
    BINDINGS: ClassVar[list[Any]] = bindings("views", "player", "worker")

    @property
    def looptop(self) -> ScreensDashboard:
        """The app, as far as a screen knows it."""
        return cast("ScreensDashboard", self.app)

    @property
    def store(self) -> Store:
        """The store to show: the live one, or the frozen copy during a pause."""
        return self.looptop.view

    def compose(self) -> ComposeResult:
        """Builds the frame around the body."""
        palette = self.looptop.palette
        yield Lines(palette, id="header")
        yield Lines(palette, id="tabs")
        yield Lines(palette, id="banner")
        with Vertical(id="body"):
            yield from self.compose_body()
        if self.looptop.player is not None:
            yield Timeline(palette, id="timeline")
        yield Lines(palette, id="hints")
        yield Static("", id="too-small", markup=False)

    def compose_body(self) -> ComposeResult:
        """Builds the widgets of this screen."""
        raise NotImplementedError

    # Called at every tick

    def update_view(self) -> None:
        """Repaints what changed in the store; does nothing before the screen is fully mounted."""
        if not self.whole:
            return
        app = self.looptop
        for widget in self.query("Lines, LiveTable, Page, Timeline"):
            if getattr(widget, "palette", None) is not app.palette:
                widget.repaint(app.palette)  # type: ignore[attr-defined]
        cells = self.size.width
        self.query_one("#header", Lines).show(header(app.view, app.situation(), cells))
        self._update_tabs(cells)
        banner = self.query_one("#banner", Lines)
        text = app.banner()
        banner.set_class(text is not None, "-shown")
        if text is not None:
            banner.show([spread(((f" {text[0]}", text[1]),), (), cells)])
        self.set_class(app.player is not None, "-plays")
        if app.player is not None:
            self.query_one("#timeline", Timeline).show(timeline_lines(app.player.state, cells))
        self._update_hints(cells)
        self.update_body()

    def update_body(self) -> None:
        """Repaints what changed in the body."""
        raise NotImplementedError

    def wants(self) -> dict[str, Any]:
        """Returns the data that the source must send for this screen, as arguments of `Source.watch`."""
        return {"window": [], "detail": None}

    def about(self) -> tuple[Part, ...]:
        """The text right of the tabs: what is shown and how it is sorted."""
        return self.order()

    def since(self) -> Part:
        """Since when the probe remembers what the table shows, if that is from before this viewer."""
        session = self.store.session
        at = session.counted if session is not None else None
        return ("" if at is None else f"since {time.strftime('%H:%M', time.localtime(at))}  ", "dim")

    def order(self) -> tuple[Part, ...]:
        """The part of that text that a column title shows, too; it is dropped first if space is short."""
        return ()

    def _about(self, shown: Sequence[Tab], cells: int) -> tuple[tuple[Part, ...], int]:
        """Cuts that text so that the titles of the tabs fit; returns it and the cells left for the tabs."""
        about, order = self.about(), self.order()
        room = cells
        for parts in (about, about[: len(about) - len(order)], ()) if order else (about,):
            about, room = parts, cells - sum(width(text) for text, _ in parts) - 1
            if tabs.named(shown, self.looptop.current_mode, room):
                break
        return about, room

    def _update_tabs(self, cells: int) -> None:
        app = self.looptop
        parts: list[Part] = []
        actions: list[str | None] = []
        shown = app.tabs()
        about, room = self._about(shown, cells)
        texts = tabs.texts(shown, app.current_mode, room)
        gap = " " if sum(map(len, texts)) + len(texts) <= room else ""
        for tab, text in zip(shown, texts, strict=True):
            calm = "warn" if self._calls(tab.mode) else "dim"
            parts += [(text, "tab" if tab.mode == app.current_mode else calm), (gap, "text")]
            actions += [f"app.show('{tab.mode}')", None]
        self.query_one("#tabs", Lines).show([spread(tuple(parts), about, cells)], [actions])

    def _calls(self, mode: str) -> bool:
        """Whether the tab of a main screen is highlighted."""
        app = self.looptop
        return (mode == "slow" and blocked_lately(app.view)) or (mode == "findings" and bool(app.found()))

    def _update_hints(self, cells: int) -> None:
        """Shows as many hints as fit; help and quit always."""
        scopes = self.hint_scopes()
        parts: list[Part] = [(" ", "text")]
        actions: list[str | None] = [None]
        left = cells + 1  # the blanks after the last hint may be cut
        shown = []
        for key in hints(*scopes):
            if key.id == "back" and not self.can_go_back:
                continue
            need = len(key.hint or key.shown) + len(self.label(key.id, key.label)) + 3
            if need <= left:
                shown.append(key)
                left -= need
        last = [key for key in shown if key.id in ("help", "quit")]
        for key in [key for key in shown if key not in last] + last:
            parts += [(key.hint or key.shown, "key"), (f" {self.label(key.id, key.label)}  ", "dim")]
            actions += [f"screen.press('{key.id}')"] * 2
        parts[-1] = (parts[-1][0].rstrip(), parts[-1][1])
        self.query_one("#hints", Lines).show([tuple(parts)], [actions])

    def hint_scopes(self) -> tuple[str, ...]:
        """The scopes whose keys the footer shows."""
        return self.scopes

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes whose keys apply on this screen."""
        more = ("player",) if self.looptop.player is not None else ("worker",) if self.looptop.among else ()
        return (*self.SCOPES, *more)

    def label(self, key_id: str, label: str) -> str:
        """The current label of a key in the footer."""
        player = self.looptop.player
        if key_id == "pause" and (self.looptop.paused or (player is not None and not player.playing)):
            return "Play " if player is not None else "Go on"
        if key_id == "record" and self.looptop.recording.sign() is not None:
            return "End recording"
        return label

    # Actions

    @property
    def can_go_back(self) -> bool:
        """Whether Esc does anything here."""
        return len(self.app.screen_stack) > 1 or self.looptop.among

    def action_back(self) -> None:
        """Closes a page; on a main screen, goes back to the workers if it is one of a service."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()
        else:
            self.call_later(self.app.run_action, "app.worker('service')")

    def forget_order(self) -> None:
        """Makes tables sort again after a jump in time."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's
        """Enables the keys of the player only in a recording, and not while typing."""
        return action != "player" or (self.looptop.player is not None and not isinstance(self.focused, Input))

    def action_player(self, verb: str, amount: float) -> None:
        """Runs a key of the player."""
        player = self.looptop.player
        if player is not None:
            player.do(verb, amount)

    def on_timeline_sought(self, message: Timeline.Sought) -> None:
        """Seeks to a clicked position."""
        if self.looptop.player is not None:
            self.looptop.player.seek_share(message.share)

    async def action_record(self) -> None:
        """Starts or stops a recording."""
        await self.looptop.recording.toggle()

    async def action_press(self, key_id: str) -> None:
        """Runs the action of a key, for clicks on hints and the command palette."""
        action = by_id(key_id).action
        name = action.partition("(")[0]
        target = self if "." in name or self.focused is None else self.focused
        if not hasattr(target, f"action_{name}"):
            target = self
        await self.app.run_action(action, target)

    def on_screen_resume(self) -> None:
        """Repaints when the screen becomes visible."""
        self.call_after_refresh(self.update_view)

    def on_resize(self, event: events.Resize) -> None:
        """Shows a message if the terminal is too small."""
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(small, "-small")
        if small:
            self.query_one("#too-small", Static).update(
                f"Too small: {width}×{height}.\nlooptop needs {SMALLEST[0]}×{SMALLEST[1]}.\n"
                "Make the window larger,\nor press q."
            )
        self.call_after_refresh(self.update_view)
