"""Measure what the story promised: times out of the rollouts' own timestamps and files, memory and idleness from /proc."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from sandbox import contents
from sandbox.story.play import Played

SOAK_SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE_SECONDS = 5.0

Span = tuple[float, float]


@dataclass(frozen=True)
class Figure:
    """One measured figure beside what was promised."""

    name: str
    value: float
    unit: str
    target: float

    @property
    def good(self) -> bool:
        """Whether the promise is kept."""
        return self.value < self.target

    def __str__(self) -> str:
        digits = 0 if self.unit == "MB" else 1 if self.target >= 10 else 2
        value = f"{self.value:.{digits}f} {self.unit}"
        return f"{self.name:<58} {value:>9}   target < {self.target:g} {self.unit}"


def gate_span(found: Mapping[str, Any]) -> Span:
    """When the charts' last gate began and had submitted, as the CI noted it."""
    with urlopen(f"{found['ci']['control']}/{contents.CHARTS_PROJECT}", timeout=10) as reply:
        last = json.load(reply)["last_gate"]
    return datetime.fromisoformat(last["started"]).timestamp(), datetime.fromisoformat(last["ended"]).timestamp()


def pulled(found: Mapping[str, Any]) -> float:
    """When the deploy host's checkout last moved."""
    git = Path(found["deploy_host"]["charts"]) / ".git"
    return (git / "refs" / "heads" / contents.BRANCH).stat().st_mtime


def jobs(found: Mapping[str, Any], since: float, until: float) -> list[tuple[str, Span]]:
    """The deploy host's jobs between two times: name, beginning and end, by the times of their files."""
    spans = []
    for folder in (Path(found["sandbox"]["root"]) / "host" / "home" / "quarterdeck-jobs").iterdir():
        try:
            span = (folder / "digest").stat().st_mtime, (folder / "rc").stat().st_mtime
        except OSError:
            continue  # not a job, or one that runs
        if since <= span[0] and span[1] <= until:
            spans.append((folder.name, span))
    return spans


def length(spans: Iterable[Span]) -> float:
    """Seconds covered by any of these spans."""
    covered, end = 0.0, float("-inf")
    for begin, finish in sorted(spans):
        covered += max(0.0, finish - max(begin, end))
        end = max(end, finish)
    return covered


def others(found: Mapping[str, Any], played: Played, data: Mapping[str, Any]) -> float:
    """Seconds of a rollout that gate, pull timer, helmfile and soak took; overlaps count once.

    To be called right after the verdict: CI and checkout keep the time of their last move only.
    """
    spans: list[Span] = []
    begin, end = played.said_at, played.verdict.at
    gate = gate_span(found)
    if begin <= gate[0] and gate[1] <= end:
        spans += [gate, (gate[1], min(max(gate[1], pulled(found)), end))]
    spans += [span for _, span in jobs(found, begin, end)]
    for step in data["steps"]:
        if step["name"] == "check" and step["ended"]:
            checked = datetime.fromisoformat(step["ended"]).timestamp()
            begun = datetime.fromisoformat(step["started"]).timestamp()
            spans.append((max(begun, checked - SOAK_SECONDS), checked))
    return length(spans)


def added(found: Mapping[str, Any], played: Played) -> float:
    """Seconds that the bot itself added to a rollout, from the command to the verdict."""
    with urlopen(f"{found['web']['http']}/{played.number}.json", timeout=10) as reply:
        data = json.load(reply)
    return played.took - others(found, played, data)


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def megabytes(pids: Iterable[int]) -> float:
    """Resident memory of these processes together; what they share counts for each."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def idle_percent(pid: int) -> float:
    """Share of one core that a process takes over five seconds in which nothing happens."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(_IDLE_SECONDS)
    return 100.0 * (ticks() - before) / _TICKS / _IDLE_SECONDS
