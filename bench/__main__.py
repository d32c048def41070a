"""Measure redaction, diff reading, the values edit, the store, the page and an idle app; print a table. Under a minute."""

import asyncio
import gc
import re
import resource
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bench import deploys
from bench import values_edit as tool
from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.core.charts.snapshot import Component, EditRequest, Snapshot
from quarterdeck.core.cluster import diff_reader as diff
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import Move
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.rollout.subject import Member, Subject

OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
AT = datetime(2026, 8, 17, 14, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Figure:
    """One line of the table; seconds by median and 95th percentile."""

    what: str
    shown: str
    beside: str


def timed(act: Callable[[], object], seconds: float = 3.0, least: int = 5) -> list[float]:
    """How long each run took, in seconds, ascending; at least *least* runs, then until the time is over."""
    act()
    gc.collect()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < least or (time.perf_counter() < end and len(took) < 5000):
        begun = time.perf_counter()
        act()
        took.append(time.perf_counter() - begun)
    return sorted(took)


def ms(took: list[float]) -> str:
    """`1.2 ms (95th 1.9)`."""
    return f"{statistics.median(took) * 1e3:.2f} ms (95th {took[int(len(took) * 0.95)] * 1e3:.2f})"


def ratio(ours: list[float], peer: list[float]) -> str:
    """How ours compares, by medians."""
    return f"{statistics.median(ours) / statistics.median(peer):.2f} x"


def redaction() -> Figure:
    """A helmfile log of 2 MB with secrets in it, beside one pass of `re.sub` with the same secrets."""
    known = [secrets.token_urlsafe(24) for _ in range(8)]
    lines = [f"release main, container c{i}, image citoid:{NEW} pulled in {i % 7}.{i % 10} s" for i in range(200)]
    log = ("\n".join([*lines, f"login with {known[3]} done"]) + "\n") * (2_000_000 // 14_000)
    peer = re.compile("|".join(map(re.escape, known)))
    redactor = Redactor(known)
    ours, theirs = timed(lambda: redactor.text(log)), timed(lambda: peer.sub("[redacted]", log), 1)
    assert known[3] not in redactor.text(log)
    speed = len(log) / statistics.median(ours) / 1e6
    return Figure("redaction of a log", f"{speed:.1f} MB/s", f"{ratio(ours, theirs)} one re.sub of the same secrets")


def document(number: int) -> tuple[str, str]:
    """A Deployment as a chart makes it, before and after."""
    environment = "".join(f"        - name: V{i}\n          value: v{i}\n" for i in range(40))
    text = (
        f"# Source: app/templates/deployment.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: citoid-{number}\n"
        f"spec:\n  replicas: 8\n  template:\n    spec:\n      containers:\n      - name: citoid-{number}\n"
        f"        image: registry.example.org/citoid:{OLD}\n        env:\n{environment}"
    )
    return text, text.replace(OLD, NEW)


def full_diff(size: int = 200_000) -> str:
    """What helm-diff prints with full context for many such objects."""
    parts: list[str] = ["Comparing release=main, chart=charts/app, namespace=citoid\n"]
    while sum(map(len, parts)) < size:
        old, new = document(len(parts))
        parts.append(f"citoid, citoid-{len(parts)}, Deployment (apps) has changed:\n")
        for before, after in zip(old.splitlines(), new.splitlines(), strict=True):
            parts.append(f"  {before}\n" if before == after else f"- {before}\n+ {after}\n")
        parts.append("\n")
    return "".join(parts)


def diff_reading() -> Figure:
    """A diff of 200 kB, beside the parsing alone of both sides of all its documents by PyYAML's C loader."""
    text = full_diff()
    objects = text.count("has changed:")
    both: list[str] = []
    for number in range(1, objects + 1):
        both += document(number)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    ours = timed(lambda: diff.read(text))
    theirs = timed(lambda: [yaml.load(side, loader) for side in both])
    assert len(diff.read(text).objects) == objects
    return Figure(
        f"reading a diff, {len(text) // 1000} kB", ms(ours), f"{ratio(ours, theirs)} PyYAML's parsing of both sides"
    )


def values_edit() -> Figure:
    """A plan for a values.yaml of 100 kB, beside loading and dumping the file with PyYAML, which loses its comments."""
    more = "".join(f"  key_{i}: # why\n    - name: n{i}\n      value: '{i}'\n" for i in range(2000))
    raw = f"main_app:\n  image: wikimedia/citoid\n  version: {OLD} # the tag\nconfig:\n{more}".encode()
    folder = "helmfile.d/services/citoid"
    helmfile = (
        b"environments:\n  staging: {}\n  codfw: {}\nreleases:\n  - name: main\n    values:\n      - values.yaml\n"
    )
    tree = Tree("c0ffee", {f"{folder}/helmfile.yaml": helmfile, f"{folder}/values.yaml": raw})
    tags = iter(f"2026-08-17-{number:06d}-production" for number in range(10**6))

    request = EditRequest(((Component("citoid"), ("staging",)),))

    def ours() -> object:
        return Snapshot(tree).edit(request, next(tags))

    def theirs() -> object:
        loaded = yaml.safe_load(raw)
        loaded["main_app"]["version"] = NEW
        return yaml.safe_dump(loaded)

    found, peer = timed(ours, 4), timed(theirs, 4)
    return Figure(f"values edit, {len(raw) // 1000} kB", ms(found), f"{ratio(found, peer)} load and dump by PyYAML")


def planned(number: int) -> Rollout:
    """A rollout to accept."""
    steps = tuple(Step(name) for name in (StepName.EDIT, StepName.MERGE, StepName.SYNC, StepName.DIFF, StepName.GATE))
    return Rollout(
        id=f"{number:016x}",
        kind=Kind.DEPLOY,
        subject=Subject((Member(Service(f"service{number}", "", "wikimedia/service")),)),
        environments=("staging",),
        tag=NEW,
        before={"staging": OLD},
        actor="alice",
        shell="alice",
        account="irc:alice",
        home=Room("irc", "#deploy"),
        created=AT,
        steps=steps,
    )


async def store_work(path: Path) -> tuple[list[float], list[float]]:
    """Seconds of each accept and of each save, ascending."""
    store = SqliteStore(path / "store.sqlite", "bench", lambda: datetime.now(UTC))
    accepts, saves = [], []
    for number in range(200):
        begun = time.perf_counter()
        now = await store.accept(planned(number), (), lambda _: [Line(Room("irc", "#deploy"), "accepted")])
        accepts.append(time.perf_counter() - begun)
        moved = advance(now, Move.CONFIRM, AT)
        begun = time.perf_counter()
        await store.save(now, moved, [Line(Room("irc", "#deploy"), "a line of the move")])
        saves.append(time.perf_counter() - begun)
    store.close()
    return sorted(accepts), sorted(saves)


def store() -> tuple[Figure, Figure]:
    """Each move is durable (fsync), beside a bare insert with the same durability."""
    with tempfile.TemporaryDirectory() as folder:
        accepts, saves = asyncio.run(store_work(Path(folder)))
        bare = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        bare.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, x)"
        )
        peer = timed(lambda: bare.execute("INSERT INTO t (x) VALUES (?)", ("x" * 1500,)), 2)
        bare.close()
    beside = "a bare INSERT with fsync"
    return (
        Figure("store: accept a rollout", ms(accepts), f"{ratio(accepts, peer)} {beside}"),
        Figure("store: save a move and its line", ms(saves), f"{ratio(saves, peer)} {beside}"),
    )


def memory() -> Figure:
    """What all modules of the bot take in a process that does nothing, beside Errbot alone."""

    def taken(modules: str) -> float:
        code = f"import {modules}, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout.split()[-1]) / 1024

    ours, peer = taken("errbot.core, quarterdeck.wiring"), taken("errbot.core")
    return Figure("memory, all modules loaded", f"{ours:.0f} MB", f"{ours / peer:.2f} x Errbot alone ({peer:.0f} MB)")


def main() -> int:
    """Print the table."""
    begun = time.perf_counter()
    figures = [
        redaction(),
        diff_reading(),
        values_edit(),
        *(Figure(*row) for row in tool.figures()),
        *store(),
        memory(),
        *(Figure(*row) for row in deploys.figures()),
    ]
    for figure in figures:
        print(f"{figure.what:32} {figure.shown:28} {figure.beside}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n{sys.version.split()[0]}, {time.perf_counter() - begun:.0f} s, peak {peak:.0f} MB. Medians; ratios are of one run."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
