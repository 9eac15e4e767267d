"""Where the findings engine joins in: `finder` makes what looks at the store after every tick of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from monitor.findings.rules.engine import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.findings.model import Finding
    from monitor.store.model import Site
    from monitor.store.store import Store


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding as an expectation knows it: `kind` is one of `sample_apps.vocabulary.Problem`."""

    kind: str
    tasks: tuple[str, ...] = ()  # the names of those it is about
    lines: tuple[Site, ...] = ()
    text: str = ""


class Finder(Protocol):
    """Called with the store after every tick, by the clock `store.now`; says what it finds then."""

    def __call__(self, store: Store) -> Iterable[SeenFinding]:
        """The findings of this moment."""


def finder() -> Finder | None:
    """A new finder, for one run of one sample, with the default thresholds whatever the user's file says."""
    findings = Findings()

    def find(store: Store) -> list[SeenFinding]:
        findings.evaluate(store)
        return [_seen(finding) for finding in findings.all()]

    return find


def _seen(finding: Finding) -> SeenFinding:
    sign = finding.observed
    names = [sign.name, *(line.name for line in sign.lines)]
    sites = [sign.site, *(line.site for line in sign.lines)]
    return SeenFinding(
        sign.kind,
        tuple(dict.fromkeys(name for name in names if name is not None)),
        tuple(dict.fromkeys(site for site in sites if site is not None)),
        finding.kind.title,
    )
