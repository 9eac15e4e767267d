"""What this viewer asks of the probe: what the screen in sight needs, and what a person has switched on.

Told when it changes, and again after a reconnect. All of it ends with this viewer.
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
    """The wishes of one dashboard."""

    def __init__(self, app: Dashboard, keep_locals: bool = False) -> None:
        self._app = app
        self._told: dict[str, Any] = {}
        self.slow = 0.1  # threshold of slow callbacks, in seconds
        self.origins = 0  # frames of creation stacks
        self.locals = keep_locals  # names of what fails

    def greet(self, session: Session | None, first: bool) -> None:
        """A probe has said hello: it knows nothing of this viewer."""
        self._told = {}
        if first and session is not None and session.settings.slow is not None:
            self.slow = session.settings.slow * 1e-6

    def tell(self, screen: VisibleScreen) -> None:
        """Tells the source what has changed."""
        app = self._app
        wants = {
            "memory": False,
            "findings": True,
            **screen.wants(),
            "slow": round(self.slow * 1e6),
            "origins": self.origins,
        }
        if self.locals or "locals" in self._told:
            wants["locals"] = self.locals
        if app.tick_rate.hz:
            wants["rate"] = app.tick_rate.rate
        if wants != self._told:
            changed = {key: value for key, value in wants.items() if self._told.get(key, _NOTHING) != value}
            self._told = wants
            app.source.watch(**changed)

    def toggle_origins(self) -> None:
        """Creation stacks of tasks born from now on: on or off."""
        app, session = self._app, self._app.store.session
        if session is None or "origins" not in session.capabilities:
            seen = "read-only: who creates a task is not seen"
            app.say(seen if app.store.read_only else "this probe keeps no creation stacks", bad=True)
            return
        self.origins = 0 if self.origins else ORIGIN_FRAMES
        app.say(
            f"creation stacks of {ORIGIN_FRAMES} frames are kept from now on"
            if self.origins
            else "creation stacks are off again"
        )
        app.look_now()

    @property
    def locals_kept(self) -> bool | None:
        """Whether local names of what fails are kept now; None where they can not be."""
        session = self._app.store.session
        if session is None or self._app.replaying:
            return None
        if session.settings.locals:
            return True
        return self.locals if "locals" in session.capabilities else None

    def toggle_locals(self) -> None:
        """Local names of tasks that fail from now on: asks first; off at once."""
        app = self._app
        if app.replaying:
            app.say("this is a recording: what was not kept then is not in it")
        elif app.store.read_only:
            app.say("read-only: how a task fails is not seen from outside", bad=True)
        elif self.locals_kept is None:
            app.say("this probe does not allow control: it only lets itself be watched", bad=True)
        elif self.locals:
            self._keep_locals(False)
        elif self.locals_kept:
            app.say("the program itself keeps them: it was started so")
        else:
            question = ConfirmScreen(
                "Keep the local names of what fails?",
                "Of tasks that fail from now on, while this dashboard watches: the names of their frames with "
                "short texts of the values, as far as these are of built-in types. "
                "What looks like a secret (password, token, api_key …) is masked. That is a net, not a promise, "
                "and other viewers and recordings get them, too.",
                "keep them",
            )
            app.push_screen(question, lambda yes: self._keep_locals(True) if yes else None)

    def _keep_locals(self, keep: bool) -> None:
        self.locals = keep
        self._app.say(
            "local names of what fails are kept from now on" if keep else "local names are not kept any longer"
        )
        self._app.look_now()
