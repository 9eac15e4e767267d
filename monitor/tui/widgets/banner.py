"""The banner: the one message that matters most now. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from monitor import formatting as fmt
from monitor.protocol.frames import Hello
from monitor.sources.base import Status
from monitor.store import model
from monitor.store.blocked import blocker, lasted
from monitor.store.labels import line_text
from monitor.store.model import Session
from monitor.store.store import Store
from monitor.tui.base.paint import safe
from monitor.tui.base.program import status_words

NOTICE_SECONDS = 20.0
LATELY = 10.0
LONG_BLOCK = 1.0
"""Shorter blocks appear in the header only: a line that comes and goes would make the table jump."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the dashboard itself, shown for a while."""

    text: str
    style: str
    at: float


@dataclass(frozen=True, slots=True)
class BannerFacts:
    """What the banner shows in addition to the store. Unix times by the clock of this machine."""

    now: float
    status: Status
    notice: Notice | None
    rate: float | None  # updates a second, when ticks run late
    slow: float  # threshold of slow callbacks
    ended_at: float | None = None  # of the program that looptop started
    exit_status: int | None = None  # likewise
    leaving: bool = False  # the user has asked it to stop


def banner(store: Store, facts: BannerFacts) -> tuple[str, str] | None:
    """The text and its style, or None."""
    return (
        _end(facts)
        or _blocked(store, facts.slow)
        or _own(facts)
        or _of_the_probe(store)
        or (_connecting(facts.status) if facts.status.state == "connecting" else None)
        or _of_the_recording(facts.status)
        or _from_outside(store)
    )


def blocked_lately(store: Store) -> bool:
    """Whether a loop is blocked, or was in the last ten seconds."""
    entries = store.slow.entries
    if any(loop.block is not None for loop in store.loops.values()):
        return True
    return bool(entries) and store.now - entries[-1].at < LATELY


def status_text(status: Status) -> str:
    """The status of the source in words."""
    return safe(status.text) or f"{status.state} …"


def _end(facts: BannerFacts) -> tuple[str, str] | None:
    """The end of the program or of the connection: when, and what happens next."""
    status = facts.status
    since = fmt.age(max(facts.now - status.since, 0.0))
    if facts.ended_at is not None:
        ago = fmt.age(max(facts.now - facts.ended_at, 0.0))
        return (
            f"the program {status_words(facts.exit_status)} {ago} ago; showing its last state; q quits",
            "warn",
        )
    if status.state == "silent":
        return (f"◌ silent for {since}: {safe(status.text)}", "bad")
    if status.state == "lost":
        return (f"✗ lost {since} ago: {safe(status.text)}", "bad")
    if status.state == "ended":
        return (f"■ ended {since} ago; showing the last state; q quits: {safe(status.text)}", "bad")
    return None


def _blocked(store: Store, slow: float) -> tuple[str, str] | None:
    """A loop that has been blocked for a second or more, and by what."""
    worst = max(store.loops.values(), key=lambda loop: loop.blocked, default=None)
    if worst is None or worst.blocked < max(LONG_BLOCK, slow):
        return None
    who = safe(blocker(store, worst))[:40]
    line = worst.block.line if worst.block is not None else None
    at = f" at {safe(line_text(line, store))}" if line is not None else ""
    loop = f"loop {worst.id}" if len(store.loops) > 1 else "the loop"
    return (f"{loop} has been blocked for {lasted(worst, fmt.age)}{at} by {who}", "bad")


def _own(facts: BannerFacts) -> tuple[str, str] | None:
    if facts.leaving:
        return ("stopping the program …; press q again to force", "warn")
    if facts.notice is not None and facts.now - facts.notice.at < NOTICE_SECONDS:
        return (facts.notice.text, facts.notice.style)
    if facts.rate is not None:
        return (f"updates are late: reduced to {facts.rate:g} a second", "warn")
    return None


def _of_the_probe(store: Store) -> tuple[str, str] | None:
    for notice in reversed(store.notices):
        if not 0 <= store.now - notice.at < NOTICE_SECONDS:
            break
        if notice.kind != "memory" or not _known(store, notice):
            return (f"notice: {safe(notice.text)}", "warn")
    if store.probe.off:
        return (f"hook off: {safe('; '.join(store.probe.off))}", "bad")
    return None


def _from_outside(store: Store) -> tuple[str, str] | None:
    """Why a read-only source has so few figures."""
    session = store.session
    if session is None or not session.read_only:
        return None
    return (f"{safe(session.hooks)}; times and counts are not available", "warn")


def _known(store: Store, notice: model.Notice) -> bool:
    """Whether the Memory screen shows a notice anyway."""
    tracing = store.memory.tracing
    return bool(notice.duration) or (tracing is not None and tracing.mine)


def _of_the_recording(status: Status) -> tuple[str, str] | None:
    """Damage or gaps of a recording."""
    return (safe(status.text), "warn") if status.state == "replay" and status.text else None


def greeting(before: Session | None, hello: Hello, now: float) -> Notice | None:
    """The message after a reconnect, to the same session or another one."""
    if before is None:
        return None
    if before.id == hello.session:
        return Notice("reconnected to the same session", "good", now)
    was = f"{before.name or before.program} (pid {before.pid})"
    text = f"connected to another session: {hello.name or hello.program} (pid {hello.pid}); before: {was}"
    return Notice(text, "warn", now)


def _connecting(status: Status) -> tuple[str, str]:
    return (status_text(status), "warn")
