"""Findings as objects for `--json` and as lines for people."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.columns import GLYPHS
from monitor.findings.kinds import BY_KEY, KINDS
from monitor.findings.model import Finding
from monitor.findings.rules.engine import Change, Findings
from monitor.plain import objects
from monitor.plain.objects import Object
from monitor.store.folding import Fold, folded
from monitor.store.task_names import title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_WORKERS = 4
"""Workers of which the figures of a finding are printed."""
MOST_LINES = 12
"""Lines printed for one finding; of a longer stack the innermost."""


def change_object(change: Change) -> Object:
    """A finding that appeared or disappeared, as `looptop watch --json` prints it."""
    return {"type": change.what, "time": objects.seconds(change.at), **finding_object(change.finding)}


def finding_object(finding: Finding) -> Object:
    """A finding with its evidence."""
    sign, kind = finding.observed, finding.kind
    return {
        "id": finding.id,
        "kind": kind.key,
        "title": kind.title,
        "text": sign.text,
        "since": objects.seconds(finding.since),
        "seen": objects.seconds(finding.seen),
        "task": sign.task,
        "name": sign.name,
        "coro": sign.coro or None,
        "label": sign.label,
        "site": objects.site_object(sign.site),
        "evidence": dict(sign.evidence),
        "lines": [
            {
                "text": line.text,
                "task": line.task,
                "name": line.name,
                "coro": line.coro or None,
                "label": line.label,
                **(objects.site_object(line.site) or {}),
            }
            for line in sign.lines
        ],
        "why": kind.why,
        "advice": kind.advice,
        "sample": kind.sample or None,
        "fix": kind.fix or None,
    }


def finding_text(thing: Object) -> str:
    """One line: kind, place and figures."""
    return f"{thing['title']}: {thing['text']}{_where(thing)}"


def gone_text(thing: Object) -> str:
    """One line: what has ended, and how long it lasted."""
    lasted = fmt.duration(max(thing["seen"] - thing["since"], 0.0))
    return f"{thing['title']} is over after {lasted}: {thing['text']}{_where(thing)}"


def _where(thing: Object) -> str:
    site = thing["site"]
    return "" if site is None else f"  {fmt.place(site['file'], site['line'], site['function'])}"


@dataclass(frozen=True, slots=True)
class Seen:
    """Findings collected over a period, as objects; those that ended before its end are marked."""

    found: list[Object]
    notes: list[str]
    not_judged: str = ""  # what could not be judged yet; printed if nothing was found


SLOW = 10.0
"""Seconds: kinds that must last for this long are mentioned if they are observed and have not yet."""


def dropped_text(number: int) -> str:
    """Reports a number of lost events."""
    return f"{fmt.several(number, 'event')} {'was' if number == 1 else 'were'} dropped"


def watched(things: Iterable[Object], findings: Findings, *, live: bool = True) -> Seen:
    """Consume a whole stream; `findings` is its detector. `live`: it could have been watched for longer."""
    over: list[Object] = []
    notes: list[str] = []
    dropped = 0
    for thing in things:
        if thing["type"] == "finding_gone":
            over.append({key: value for key, value in thing.items() if key not in ("type", "time")} | {"over": True})
        elif thing["type"] == "notice" and "about" not in thing:  # `about`: of ends, not printed here
            dropped += thing.get("dropped", 0)
            if "dropped" not in thing and thing["text"] not in notes:
                notes.append(thing["text"])
    if dropped:
        notes.append(dropped_text(dropped))
    if live:
        notes += _pending_notes([findings])
    there = [finding_object(finding) | {"over": False} for finding in findings.all()]
    alive = {_cause(one) for one in there}
    over = [one for one in over if _cause(one) not in alive]
    return Seen([*there, *over], notes, findings.not_judged)


def _pending_notes(detectors: Iterable[Findings]) -> list[str]:
    pending = dict.fromkeys(one for findings in detectors for one in findings.pending() if one[1] >= SLOW)
    return [f"not reported yet: {title} must last for {after:g} s (see --duration)" for title, after in pending]


def _cause(thing: Object) -> object:
    """What a finding is about: one that is over is not listed beside one of the same cause that is there."""
    site = thing["site"]
    return thing["kind"], thing["text"] if site is None else (site["file"], site["line"])


def watched_all(
    things: Iterable[Object], there: Callable[[], list[Object]], detectors: Callable[[], list[Findings]]
) -> Seen:
    """The same of several programs; `there` are the findings at the end, those of ended processes included.

    `detectors`: those of the processes that are alive at the end.
    """
    first = watched(things, Findings())
    alive = detectors()
    notes = [*first.notes, *_pending_notes(alive)]
    not_judged = next((findings.not_judged for findings in alive if findings.not_judged), "")
    return Seen(in_order([*there(), *first.found]), notes, not_judged)


def in_order(found: list[Object]) -> list[Object]:
    """Findings of several programs: those that are over last, the worst kinds first."""
    kinds = [kind.key for kind in KINDS]
    return sorted(found, key=lambda one: (one["over"], kinds.index(one["kind"]), one["since"]))


def seen_object(seen: Seen) -> Object:
    """The object that `looptop findings --json` prints."""
    return {"findings": seen.found}


def seen_lines(seen: Seen, width: int, colour: bool) -> list[str]:
    """The lines that `looptop findings` prints: each finding with its evidence, why it matters and what to do."""
    if not seen.found:
        return ["; ".join(filter(None, ("no known problem pattern detected", seen.not_judged)))]
    bold, plain = ("\x1b[1m", "\x1b[0m") if colour else ("", "")
    lines: list[str] = []
    for things in by_worker(seen.found):
        thing, kind = things[0], BY_KEY[things[0]["kind"]]
        state = "over" if thing["over"] else f"seen for {fmt.age(max(thing['seen'] - thing['since'], 0.0))}"
        lines.append(f"{bold}{GLYPHS[kind.weight]} {kind.title}{plain}  ({state}){_workers(things)}")
        for one in things[:MOST_WORKERS]:
            whose = f"worker {one['worker']}: " if len(things) > 1 else ""
            lines += _paragraph(f"{whose}{one['text']}{_where(one)}", width)
        if len(things) > MOST_WORKERS:
            lines.append(f"    … and {len(things) - MOST_WORKERS} more")
        lines += [f"      {fmt.clean(text)}" for text in _evidence(thing["lines"])]
        lines += [*_paragraph(kind.why, width), *_paragraph(kind.advice, width)]
        if kind.fix:
            lines.append(f"    looptop samples show {kind.fix}")
        lines.append("")
    return lines[:-1]


def by_worker(found: Iterable[Object]) -> list[list[Object]]:
    """Groups what several workers have at one line, or in one group of tasks: it is listed once."""
    same: dict[object, list[Object]] = {}
    for thing in found:
        site, group = (thing["site"], thing["evidence"].get("group")) if "worker" in thing else (None, None)
        which = group or ((thing.get("pid"), thing["id"]) if site is None else (site["file"], site["line"]))
        same.setdefault((thing["kind"], thing["over"], which), []).append(thing)
    return list(same.values())


def _workers(things: list[Object]) -> str:
    slots = sorted({thing["worker"] for thing in things if "worker" in thing})
    if not slots:
        return ""
    return f"  {'worker' if len(slots) == 1 else 'workers'} {', '.join(map(str, slots))}"


def _paragraph(text: str, width: int) -> list[str]:
    return textwrap.wrap(fmt.clean(text), max(min(width, 110), 40), initial_indent="    ", subsequent_indent="    ")


def _evidence(lines: list[Object]) -> list[str]:
    """The evidence lines of a finding: of a stack the user's own frames, with others between them folded."""
    frames = [one for one in lines if "file" in one and not one["text"] and one["name"] is None]
    parts = folded([one["file"] for one in frames])
    texts = [f"… {part.text}" if isinstance(part, Fold) else _line(frames[part]) for part in parts]
    if len(texts) > MOST_LINES:
        texts = [f"… {len(texts) - MOST_LINES} more", *texts[-MOST_LINES:]]
    others = [_line(one) for one in lines if one not in frames]
    room = MOST_LINES - len(texts)
    if len(others) > room:
        others[room - 1 :] = [f"… and {len(others) - room + 1} more lines"]
    return texts + others


def _line(one: Object) -> str:
    place = fmt.place(one["file"], one["line"], one["function"]) if "file" in one else ""
    who = title(one["task"], one["name"], one["coro"] or "", one["label"])
    return "  ".join(part for part in (who, one["text"], place) if part)
