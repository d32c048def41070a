"""A process that moves rollouts through a store until it is killed (see test_store_sqlite)."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.records import ApplyIntent
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import HOLDING, Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from tests.worlds.subjects import subject


async def main() -> None:
    """Accept, confirm, step and finish for ever; each move says its version and writes it into its step."""
    now = datetime.now(UTC)
    store = SqliteStore(Path(sys.argv[1]), sys.argv[2], lambda: now)
    print("open", flush=True)
    for n in range(10**9):
        rollout = Rollout(
            id=f"{sys.argv[2]}-{n}", kind=Kind.APPLY, subject=subject(f"s{n % 3}", places=("a", "b")), environments=("a", "b"), tag="",
            before={}, actor="x", shell="x", account="x", home=Room("irc", "#d"), created=now,
            steps=(Step(StepName.SYNC), Step(StepName.APPLY, "a", "default")),
        )  # fmt: skip
        for holder in await store.find(HOLDING | {State.PLANNED}, rollout.service):
            line = Line(Room("irc", "#d"), f"{holder.number} end")
            await store.save(holder, advance(holder, Move.ABORT, now), [line])
        r = await store.accept(rollout, (), lambda r: [Line(Room("irc", "#d"), f"{r.number} v{r.version}")])
        for move in (Move.CONFIRM, Move.STEP, Move.STEP, Move.FINISH):
            step = replace(
                r.steps[1], state=StepState.INTENDED, intent=ApplyIntent("host", f"job {r.version + 1}", "", {}, ())
            )
            new = advance(r.with_step(step), move, now)
            r = await store.save(r, new, [Line(Room("irc", "#d"), f"{new.number} v{new.version}")])


if __name__ == "__main__":
    asyncio.run(main())
