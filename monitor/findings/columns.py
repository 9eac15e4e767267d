"""The columns of the table of findings, one declaration each; see `monitor.store.columns`."""

from __future__ import annotations

from monitor import formatting as fmt
from monitor.findings.kinds import KINDS
from monitor.findings.model import Finding
from monitor.store.column import Column
from monitor.store.labels import site_text

GLYPHS = {"bad": "✗", "warn": "!"}
"""Beside the words, so that the weight is seen without colour."""

_ORDER = {kind.key: number for number, kind in enumerate(KINDS)}

FINDINGS: tuple[Column[Finding], ...] = (
    Column(
        "kind",
        "Finding",
        24,
        "what is wrong: ✗ something is broken, ! something will be",
        lambda f, s: f"{GLYPHS[f.kind.weight]} {f.kind.title}",
        lambda f, s: (f.dismissed, _ORDER[f.sign.kind], f.since, f.id),
        descending=False,
    ),
    Column(
        "text",
        "Evidence",
        40,
        "who, and the figures",
        lambda f, s: f"(dismissed) {f.sign.text}" if f.dismissed else f.sign.text,
        lambda f, s: f.sign.text,
        descending=False,
    ),
    Column(
        "site",
        "Line",
        26,
        "the line that it is about",
        lambda f, s: site_text(f.sign.site, s),
        lambda f, s: site_text(f.sign.site, s),
        priority=2,
        descending=False,
    ),
    Column(
        "since",
        "Since",
        6,
        "for how long",
        lambda f, s: fmt.age(max(s.now - f.since, 0.0)),
        lambda f, s: s.now - f.since,
        unit="s",
        right=True,
    ),
)
