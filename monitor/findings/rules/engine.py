"""Turns observations into findings with hysteresis: reported once they have lasted, gone once they stay away."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from monitor.findings.kinds import KINDS
from monitor.findings.model import Finding, Line, Observation
from monitor.findings.rules import growth, rules
from monitor.findings.thresholds import Thresholds
from monitor.store.model import EndedTask, Task
from monitor.store.store import Store

Rule = Callable[[Store, Thresholds], Iterator[Observation]]
Subject = tuple[str, Hashable]

MOST = 200
"""Maximum number of findings at a time; more are not reported."""
BETWEEN = 0.2
"""Minimum seconds between two evaluations, on the program's clock."""

_ORDER = {kind.key: number for number, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Change:
    """A finding that appeared or disappeared."""

    what: Literal["finding", "finding_gone"]
    at: float
    finding: Finding


@dataclass(slots=True)
class _Pending:
    """Observed, but not for long enough yet."""

    since: float
    seen: float


@dataclass(slots=True)
class Findings:
    """The findings of one store. Call `evaluate` at every tick; a new session starts without findings."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    revision: int = 0
    not_judged: str = ""
    """What cannot be judged yet, in a sentence."""
    found: dict[Subject, Finding] = field(default_factory=dict)
    _pending: dict[Subject, _Pending] = field(default_factory=dict)
    _dismissed: set[Subject] = field(default_factory=set)
    _rules: list[Rule] = field(default_factory=list)
    _session: str | None = None
    _looked: float = 0.0
    _ids: int = 0

    def evaluate(self, store: Store) -> list[Change]:
        """Runs the rules; returns the findings that appeared or disappeared since the last call."""
        session = store.session.id if store.session is not None else None
        changes: list[Change] = []
        if session != self._session or store.now < self._looked:
            changes = self._begin(session, store.now)
        elif store.now < self._looked + BETWEEN:
            return []
        self._looked = store.now
        if store.read_only:  # without times no rule applies
            return changes
        for rule in self._rules:
            for observation in rule(store, self.thresholds):
                if observation.kind not in self.thresholds.off:
                    changes += self._take(self._with_names(observation, store), store.now)
        changes += self._let_go(store.now)
        self.not_judged = growth.not_judged(store, self.thresholds)
        self.revision += bool(changes)
        return changes

    def shown(self) -> list[Finding]:
        """The findings that are not dismissed: most severe kind first, then oldest."""
        return [finding for finding in self.all() if not finding.dismissed]

    def all(self) -> list[Finding]:
        """All findings; dismissed ones come last."""
        return sorted(
            self.found.values(), key=lambda one: (one.dismissed, _ORDER[one.observed.kind], one.since, one.id)
        )

    def pending(self) -> list[tuple[str, float]]:
        """The kinds that are observed but have not lasted long enough, with how long each must last (s)."""
        kinds = {kind for kind, _ in self._pending}
        return [(kind.title, self.thresholds.after(kind.key)) for kind in KINDS if kind.key in kinds]

    def dismiss(self, finding: Finding, dismissed: bool = True) -> None:
        """Hides a finding for the rest of the session, also if it reappears; or shows it again."""
        finding.dismissed = dismissed
        subject = finding.observed.kind, finding.observed.subject
        if dismissed:
            self._dismissed.add(subject)
        else:
            self._dismissed.discard(subject)
        self.revision += 1

    def show(self, others: Findings) -> None:
        """Replaces the findings by those of another engine; dismissed ones stay dismissed."""
        found: dict[Subject, Finding] = {}
        for subject, other in others.found.items():
            mine = self.found.get(subject)
            if mine is not None and mine.id == other.id:
                mine.observed, mine.since, mine.seen = other.observed, other.since, other.seen
                found[subject] = mine
            else:
                found[subject] = replace(other, dismissed=subject in self._dismissed)
        self.revision += [one.id for one in found.values()] != [one.id for one in self.found.values()]
        self.found = found

    def _begin(self, session: str | None, now: float) -> list[Change]:
        """Starts over, for another session or after a recording was rewound."""
        gone = [Change("finding_gone", now, finding) for finding in self.found.values()]
        if session != self._session:
            self._dismissed.clear()
        self._session = session
        self.found.clear()
        self._pending.clear()
        self._rules = rules()
        return gone

    def _with_names(self, observation: Observation, store: Store) -> Observation:
        before = self.found.get((observation.kind, observation.subject))
        return _named(observation, store, None if before is None else before.observed)

    def _take(self, observation: Observation, now: float) -> list[Change]:
        subject = observation.kind, observation.subject
        finding = self.found.get(subject)
        if finding is not None:
            finding.observed, finding.seen = observation, now
            return []
        pending = self._pending.get(subject)
        if pending is None:
            if not observation.strong:
                return []
            pending = self._pending[subject] = _Pending(
                now if observation.since is None else min(observation.since, now), now
            )
        pending.seen = now
        lasted = now - pending.since >= self.thresholds.after(observation.kind)
        if not (observation.strong and (observation.at_once or lasted)) or len(self.found) >= MOST:
            return []
        del self._pending[subject]
        since = pending.since if observation.since is None else observation.since
        self._ids += 1
        finding = self.found[subject] = Finding(self._ids, observation, since, now, subject in self._dismissed)
        return [Change("finding", now, finding)]

    def _let_go(self, now: float) -> list[Change]:
        for subject in [subject for subject, pending in self._pending.items() if pending.seen < now]:
            del self._pending[subject]
        over = [subject for subject, one in self.found.items() if now - one.seen >= self.thresholds.hold]
        return [Change("finding_gone", now, self.found.pop(subject)) for subject in over]


def _named(observation: Observation, store: Store, before: Observation | None) -> Observation:
    """An observation with name, coroutine and label of its tasks: rules may give ids only.

    A task that has ended, and is not listed, keeps the names that it had in the observation `before`.
    """
    had: dict[int | None, Observation | Line] = {}
    if before is not None:
        had = {one.task: one for one in before.lines if one.coro} | {before.task: before}

    def names(task: int) -> dict[str, Any]:
        known: Task | EndedTask | Observation | Line | None = store.tasks.get(task) or store.ended.of(task)
        known = known or had.get(task)
        return {} if known is None else {"name": known.name, "coro": known.coro, "label": known.label}

    def line(one: Line) -> Line:
        return one if one.task is None or one.coro else replace(one, **names(one.task))

    own = {} if observation.task is None or observation.coro else names(observation.task)
    return replace(observation, lines=tuple(map(line, observation.lines)), **own)
