"""Turns what the rules see into findings that do not flicker: told when it has lasted, gone when it has stayed away."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from monitor.findings.kinds import KINDS
from monitor.findings.model import Finding, Observation
from monitor.findings.rules import rules
from monitor.findings.thresholds import Thresholds
from monitor.store.store import Store

Rule = Callable[[Store, Thresholds], Iterator[Observation]]
Subject = tuple[str, Hashable]

MOST = 200
"""Findings at a time; a program that is broken in more ways is told of these."""
BETWEEN = 0.2
"""Seconds of the program's clock between two looks, at least."""

_ORDER = {kind.key: number for number, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Change:
    """A finding that has come, or has gone."""

    what: Literal["finding", "finding_gone"]
    at: float
    finding: Finding


@dataclass(slots=True)
class _Pending:
    """Seen, but not for long enough yet."""

    since: float
    seen: float


@dataclass(slots=True)
class Findings:
    """The findings of one store. `look` at every tick; a session that follows another starts from nothing."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    revision: int = 0
    found: dict[Subject, Finding] = field(default_factory=dict)
    _pending: dict[Subject, _Pending] = field(default_factory=dict)
    _dismissed: set[Subject] = field(default_factory=set)
    _rules: list[Rule] = field(default_factory=list)
    _session: str | None = None
    _looked: float = 0.0
    _ids: int = 0

    def look(self, store: Store) -> list[Change]:
        """What has come and gone since the last look."""
        session = store.session.id if store.session is not None else None
        changes: list[Change] = []
        if session != self._session or store.now < self._looked:
            changes = self._begin(session, store.now)
        elif store.now < self._looked + BETWEEN:
            return []
        self._looked = store.now
        if store.read_only:  # its times are not known: no rule could hold
            return changes
        for rule in self._rules:
            for sign in rule(store, self.thresholds):
                if sign.kind not in self.thresholds.off:
                    changes += self._take(sign, store.now)
        changes += self._let_go(store.now)
        self.revision += bool(changes)
        return changes

    def shown(self) -> list[Finding]:
        """The findings that were not dismissed: the worst kind first, then the oldest."""
        return [finding for finding in self.all() if not finding.dismissed]

    def all(self) -> list[Finding]:
        """Also those that were dismissed, which come last."""
        return sorted(self.found.values(), key=lambda one: (one.dismissed, _ORDER[one.sign.kind], one.since, one.id))

    def dismiss(self, finding: Finding, dismissed: bool = True) -> None:
        """Hides a finding, and the same one if it comes again in this session; or shows it again."""
        finding.dismissed = dismissed
        subject = finding.sign.kind, finding.sign.subject
        if dismissed:
            self._dismissed.add(subject)
        else:
            self._dismissed.discard(subject)
        self.revision += 1

    def show(self, others: Findings) -> None:
        """Takes over what others have found; what was dismissed here stays so."""
        found: dict[Subject, Finding] = {}
        for subject, other in others.found.items():
            mine = self.found.get(subject)
            if mine is not None and mine.id == other.id:
                mine.sign, mine.since, mine.seen = other.sign, other.since, other.seen
                found[subject] = mine
            else:
                found[subject] = replace(other, dismissed=subject in self._dismissed)
        self.revision += [one.id for one in found.values()] != [one.id for one in self.found.values()]
        self.found = found

    def _begin(self, session: str | None, now: float) -> list[Change]:
        """Another session, or a recording that went back: nothing of before belongs to it."""
        gone = [Change("finding_gone", now, finding) for finding in self.found.values()]
        if session != self._session:
            self._dismissed.clear()
        self._session = session
        self.found.clear()
        self._pending.clear()
        self._rules = rules()
        return gone

    def _take(self, sign: Observation, now: float) -> list[Change]:
        subject = sign.kind, sign.subject
        finding = self.found.get(subject)
        if finding is not None:
            finding.sign, finding.seen = sign, now
            return []
        pending = self._pending.get(subject)
        if pending is None:
            if not sign.strong:
                return []
            pending = self._pending[subject] = _Pending(now if sign.since is None else min(sign.since, now), now)
        pending.seen = now
        lasted = now - pending.since >= self.thresholds.after(sign.kind)
        if not (sign.strong and (sign.at_once or lasted)) or len(self.found) >= MOST:
            return []
        del self._pending[subject]
        since = pending.since if sign.since is None else sign.since
        self._ids += 1
        finding = self.found[subject] = Finding(self._ids, sign, since, now, subject in self._dismissed)
        return [Change("finding", now, finding)]

    def _let_go(self, now: float) -> list[Change]:
        for subject in [subject for subject, pending in self._pending.items() if pending.seen < now]:
            del self._pending[subject]
        over = [subject for subject, one in self.found.items() if now - one.seen >= self.thresholds.hold]
        return [Change("finding_gone", now, self.found.pop(subject)) for subject in over]
