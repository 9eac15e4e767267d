"""The subscription of this viewer: data for the visible screen, and options that the user switched on.

Sent when it changes, and again after a reconnect. All of it ends with this viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.tui.dialogs.confirm import ConfirmScreen

if TYPE_CHECKING:
    from monitor.store.model import Session
    from monitor.tui.base.dashboard import Dashboard, VisibleScreen

ORIGIN_FRAMES = 10
_NOTHING = object()


class Subscription:
    """Sends the requests of one dashboard to the source whenever they change."""

    def __init__(self, app: Dashboard, keep_locals: bool = False) -> None:
        self._app = app
        self._told: dict[str, Any] = {}
        self.slow = 0.1  # threshold of slow callbacks, in seconds
        self.origins = 0  # frames of creation stacks
        self.locals = keep_locals  # local variables of failing tasks

    def greet(self, session: Session | None, first: bool) -> None:
        """Starts over with a probe that has no subscription of this viewer yet."""
        self._told = {}
        if first and session is not None and session.settings.slow is not None:
            self.slow = session.settings.slow * 1e-6

    def update(self, screen: VisibleScreen) -> None:
        """Sends the source the requests that changed."""
        app = self._app
        wants = {
            "memory": False,
            "threads": 0,
            "gil": False,
            "findings": True,
            "history": True,
            **screen.wants(),
            "slow": round(self.slow * 1e6),
            "origins": self.origins,
        }
        if "steps" in self._told:
            wants.setdefault("steps", None)
        if self.locals or "locals" in self._told:
            wants["locals"] = self.locals
        if "flame" in self._told and "flame" not in wants:  # that screen is no longer in sight
            wants |= {"flame": 0, "flame_wait": False, "flame_jobs": False, "flame_tasks": False}
        if app.tick_rate.hz:
            wants["rate"] = app.tick_rate.rate
        if wants != self._told:
            changed = {key: value for key, value in wants.items() if self._told.get(key, _NOTHING) != value}
            self._told = wants
            app.source.watch(**changed)

    def toggle_origins(self) -> None:
        """Toggles creation stacks for new tasks."""
        app, session = self._app, self._app.store.session
        if session is None or "origins" not in session.capabilities:
            seen = "read-only: creation stacks are not available"
            app.say(seen if app.store.read_only else "this probe keeps no creation stacks", bad=True)
            return
        self.origins = 0 if self.origins else ORIGIN_FRAMES
        app.say(
            f"creation stacks of new tasks are kept ({ORIGIN_FRAMES} frames)"
            if self.origins
            else "creation stacks are no longer kept"
        )
        app.update_now()

    @property
    def locals_kept(self) -> bool | None:
        """Whether local variables of failing tasks are kept now; None if that is not possible."""
        session = self._app.store.session
        if session is None or self._app.replaying:
            return None
        if session.settings.locals:
            return True
        return self.locals if "locals" in session.capabilities else None

    def toggle_locals(self) -> None:
        """Toggles local variables for tasks that fail from now on; asks before switching on."""
        app = self._app
        if app.replaying:
            app.say("not available in a recording")
        elif app.store.read_only:
            app.say("read-only: failures of tasks are not visible from outside", bad=True)
        elif self.locals_kept is None:
            app.say("this probe does not allow control", bad=True)
        elif self.locals:
            self._keep_locals(False)
        elif self.locals_kept:
            app.say("the program was started with local variables kept")
        else:
            question = ConfirmScreen(
                "Keep local variables of failing tasks?",
                "For tasks that fail while this dashboard is connected: the local variables of their frames with "
                "short values, for built-in types only. "
                "Names that look like secrets (password, token, api_key …) are masked: best effort, not guaranteed. "
                "Other viewers and recordings get them, too.",
                "keep local variables",
            )
            app.push_screen(question, lambda yes: self._keep_locals(True) if yes else None)

    def _keep_locals(self, keep: bool) -> None:
        self.locals = keep
        self._app.say("local variables of failing tasks are kept" if keep else "local variables are no longer kept")
        self._app.update_now()
