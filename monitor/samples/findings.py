"""Connects the samples with the findings engine: `finder` makes a detector that runs after every tick of a sample."""

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
    """A finding reduced to what expectations compare: `kind` is one of `sample_apps.vocabulary.Problem`."""

    kind: str
    tasks: tuple[str, ...] = ()  # the names of the tasks involved
    lines: tuple[Site, ...] = ()
    text: str = ""


class Finder(Protocol):
    """Called with the store after every tick, with `store.now` as the clock; returns the current findings."""

    def __call__(self, store: Store) -> Iterable[SeenFinding]:
        """The findings at this moment."""


def finder() -> Finder | None:
    """A new finder for one run of a sample, with the default thresholds instead of the user's."""
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
