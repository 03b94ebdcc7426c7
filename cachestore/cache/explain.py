"""Why a call is answered or not: a pure decision about what was asked for and the entries that come near it."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from cachestore.blob import Metadata
from cachestore.cache.entries import KnownCall
from cachestore.index import Accepted, Evicted

State = Literal["hit", "miss", "computed"]

# Enough to tell two of them apart, and to be typed.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Change:
    """Says of one part of a call that it differs from that of the nearest entry.

    Attributes
    ----------
    kind
        `argument`, or what part of the code: `function`, `class`, `constant`, `package`, `module`.
    name
        The argument, or where the part is found: `team.tables:clean`.
    old, new
        The digests, or versions of a package; None where there is no such part.
    old_text, new_text
        The sources, or summaries of the values, where they are known.
    """

    kind: str
    name: str
    old: str | None
    new: str | None
    old_text: str | None = None
    new_text: str | None = None

    @property
    def is_code(self) -> bool:
        """Whether it is a part of the code, and no argument."""
        return self.kind != "argument"

    @property
    def diff(self) -> str:
        """A unified diff of the sources; empty where one is not known."""
        if not self.is_code or self.old_text is None or self.new_text is None:
            return ""
        names = (f"{self.name} {_short(self.old)}", f"{self.name} {_short(self.new)}")
        lines = difflib.unified_diff(
            self.old_text.splitlines(), self.new_text.splitlines(), *names, lineterm=""
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Says of a call whether it is answered, or why it is not, or why an entry was computed.

    Attributes
    ----------
    state
        `hit`; `miss`; or `computed`, of an entry: why it was no hit when it was asked for.
    reason
        `hit`, `accepted`, `never computed`, `new arguments`, `code changed`, `package changed`, `evicted`, `expired`,
        `refused`, `corrupt`, `newer`, `unreadable`, `unavailable` or `no cache`.
    call
        What was asked for.
    asked_at
        When; days are named as seen from then.
    nearest
        The entry that answers or comes nearest to it.
    changes
        In what the call differs from it.
    evicted
        Who gave the entry up, when and why.
    accepted
        Who had the entry of another code version answer.
    problem
        What is wrong with the store or the blob, in its own words.
    """

    state: State
    reason: str
    call: KnownCall
    asked_at: datetime
    nearest: Metadata | None = None
    changes: tuple[Change, ...] = ()
    evicted: Evicted | None = None
    accepted: Accepted | None = None
    problem: str | None = None

    @property
    def diff(self) -> str:
        """Unified diffs of all sources that changed and are known."""
        return "\n".join(change.diff for change in self.changes if change.diff)

    def with_texts(self, old: Mapping[str, str], new: Mapping[str, str]) -> Explanation:
        """Add the sources of parts of the code, by the names of these."""
        changes = tuple(
            replace(
                change,
                old_text=old.get(f"{change.kind}:{change.name}"),
                new_text=new.get(f"{change.kind}:{change.name}"),
            )
            if change.is_code
            else change
            for change in self.changes
        )
        return replace(self, changes=changes)

    def __str__(self) -> str:
        """Say it in a sentence; what differs follows, where that is more than one thing."""
        if self.state == "hit":
            return f"a hit: {self._answer()}"
        begin = "a miss" if self.state == "miss" else "computed"
        if len(self.changes) == 1 and self.reason in _BY_COMPARISON:
            return f"{begin} because {_changed(self.changes[0], self.call, self._who())}"
        lines = [f"{begin} because {self._because()}"]
        lines += [f"  {_listed(change, self.call)}" for change in self.changes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Show what it says: it is looked at in notebooks and shells."""
        return f"<{self.call.function}: {self}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _answer(self) -> str:
        text = f"computed by {self._who()}, entry {self.nearest.key[:12] if self.nearest else ''}"
        if self.accepted is None:
            return text
        mark = self.accepted
        return (
            f"{text}, of code version {_short(mark.old)}, which {mark.user} accepted for {_short(mark.new)} "
            f"{day(mark.at, self.asked_at)}"
        )

    def _who(self) -> str:
        if self.nearest is None:
            return ""
        return f"{self.nearest.creator}, {day(self.nearest.started_at, self.asked_at)}"

    def _because(self) -> str:
        name = self.call.function.rpartition(".")[2]
        match self.reason:
            case "evicted" if self.evicted is not None:
                gone = self.evicted
                verb = {"gc": "was evicted by gc", "clear": "was cleared"}.get(
                    gone.command, f"was removed by {gone.command}"
                )
                more = f": {gone.reason}" if gone.reason else ""
                return f"its entry {verb} on {gone.at:%Y-%m-%d} ({gone.user}){more}"
            case "expired" | "refused":
                what = "has expired" if self.reason == "expired" else "was refused by the validation callback"
                return f"the entry ({self._who()}) {what}" if self.nearest else f"the entry {what}"
            case "corrupt" | "newer" | "unreadable":
                return f"the entry cannot be used: {self.problem or 'it is ' + self.reason}"
            case "no cache":
                return "there is no cache: the Memory has no location"
            case "unavailable":
                return f"the store is unavailable: {self.problem or 'it did not answer'}"
        if self.nearest is None:
            known = {"code changed": "its code changed", "package changed": "a package changed"}
            return known.get(self.reason, f"{name}() was not computed like that before, as far as is known")
        near = f"the nearest entry {self.nearest.key[:12]} ({self._who()})"
        if not self.changes:
            return (
                f"what {name}() carries (bound arguments, defaults, a closure) differs from {near}: "
                f"{_short(self.nearest.code_version)} -> {_short(self.call.code_version)}"
            )
        return f"{len(self.changes)} things differ from {near}:"


_BY_COMPARISON = frozenset({"never computed", "new arguments", "code changed", "package changed"})


def explain(
    call: KnownCall,
    candidates: Iterable[Metadata],
    *,
    asked_at: datetime,
    state: State = "miss",
    outcome: str = "absent",
    evicted: Evicted | None = None,
    summaries: Mapping[str, str] | None = None,
    problem: str | None = None,
) -> Explanation:
    """Say why a call is not answered, from the entries of its function.

    The nearest entry is of the same arguments in another code version, with the fewest parts that differ; else of
    the same code version, with the fewest arguments that differ; else the one with the fewest differences in both.
    Among equals the latest counts.

    Parameters
    ----------
    call
        What is asked for.
    candidates
        Entries of the same function that were there.
    asked_at
        When it is asked for.
    state
        Whether it is a miss now, or why an entry was computed.
    outcome
        What the store said: `absent`, or already the reason.
    evicted
        Who gave its entry up, if anybody did.
    summaries
        Short texts of the arguments, where the user asked for that.
    problem
        What is wrong with the store or the blob.
    """
    nearest = _nearest(call, [entry for entry in candidates if entry.key != call.key])
    changes = () if nearest is None else _changes(call, nearest, summaries or {})
    if outcome != "absent":
        reason = outcome
    elif evicted is not None:
        reason = "evicted"
    elif nearest is None:
        reason = "never computed"
    elif dict(nearest.arguments) == dict(call.arguments):
        packages = changes and all(change.kind == "package" for change in changes)
        reason = "package changed" if packages else "code changed"
    else:
        reason = "new arguments"
    if reason not in _BY_COMPARISON:
        nearest, changes = None, ()
    return Explanation(
        state, reason, call, asked_at, nearest, tuple(changes), evicted=evicted, problem=problem
    )


def day(moment: datetime, now: datetime) -> str:
    """Name a day as people do.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2024, 5, 3, 12, tzinfo=UTC)
    >>> [day(now - timedelta(days=days), now) for days in (0, 1, 3, 30)]
    ['today', 'yesterday', 'Tuesday', '2024-04-03']
    """
    here, there = now.astimezone(), moment.astimezone()
    days = (here.date() - there.date()).days
    if days in (0, 1):
        return ("today", "yesterday")[days]
    return f"{there:%A}" if 0 < days < 7 else f"{there:%Y-%m-%d}"


def _nearest(call: KnownCall, entries: Sequence[Metadata]) -> Metadata | None:
    def rank(entry: Metadata) -> tuple[int, int, float, str]:
        arguments = len(_differing(entry.arguments, call.arguments))
        parts = len(_differing(entry.code_parts, call.code_parts))
        if not arguments:
            kind = 0
        elif entry.code_version == call.code_version:
            kind = 1
        else:
            kind = 2
        age = -(entry.started_at + timedelta(seconds=entry.seconds)).timestamp()
        return kind, arguments + parts, age, entry.key

    return min(entries, key=rank, default=None)


def _changes(call: KnownCall, nearest: Metadata, summaries: Mapping[str, str]) -> list[Change]:
    changes = []
    # Of a version whose parts nobody knows nothing can be said.
    if call.code_parts and nearest.code_parts:
        for part in _differing(nearest.code_parts, call.code_parts):
            kind, _, name = part.partition(":")
            changes.append(Change(kind, name, nearest.code_parts.get(part), call.code_parts.get(part)))
    changes += [
        Change(
            "argument",
            name,
            nearest.arguments.get(name),
            call.arguments.get(name),
            nearest.summaries.get(name),
            summaries.get(name),
        )
        for name in _differing(nearest.arguments, call.arguments)
    ]
    # A part's version holds the names of what it uses: what it uses is what changed, and is told first.
    order = {"argument": 2, "function": 1, "class": 1}
    own = ("function", call.function)
    return sorted(
        changes, key=lambda each: ((each.kind, each.name.replace(":", ".")) == own, order.get(each.kind, 0))
    )


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _changed(change: Change, call: KnownCall, who: str) -> str:
    what = _named(change, call)
    if change.old is None:
        return f"{what} is new since the nearest entry ({who}): {_short(change.new)}"
    if change.new is None:
        return f"{what} is gone since the nearest entry ({who}): {_short(change.old)}"
    verb = "changed" if change.is_code else "differs"
    return f"{what} {verb}: {_valued(change, change.old, change.old_text)} ({who}) -> " + _valued(
        change, change.new, change.new_text
    )


def _listed(change: Change, call: KnownCall) -> str:
    old = _valued(change, change.old, change.old_text)
    return f"{_named(change, call)}: {old} -> {_valued(change, change.new, change.new_text)}"


def _named(change: Change, call: KnownCall) -> str:
    name = change.name.rpartition(":")[2]
    match change.kind:
        case "argument":
            return f"argument {change.name!r}"
        case "function":
            own = change.name.replace(":", ".") == call.function
            return f"{name}() itself" if own else f"helper {name}()"
    return f"{change.kind} {name}"


def _valued(change: Change, digest: str | None, text: str | None) -> str:
    if digest is None:
        return "none"
    shown = digest if change.kind == "package" else _short(digest)
    return f"{shown} = {text}" if text is not None and not change.is_code else shown


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:_SHORT]
