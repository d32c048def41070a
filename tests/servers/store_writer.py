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
from quarterdeck.core.rollout.state import Move
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
        holding = [h.number for h in await store.holders(rollout.service)]
        for number in set(holding):
            found = await store.get(number)
            assert found is not None
            await store.save(found, advance(found, Move.ABORT, now), [Line(Room("irc", "#d"), f"{number} end")])
        r = await store.accept(rollout, (), lambda r: [Line(Room("irc", "#d"), f"{r.number} v{r.version}")])
        for move in (Move.CONFIRM, Move.STEP, Move.STEP, Move.FINISH):
            step = replace(
                r.steps[1], state=StepState.INTENDED, intent=ApplyIntent("host", f"job {r.version + 1}", "", {}, ())
            )
            new = advance(r.with_step(step), move, now)
            r = await store.save(r, new, [Line(Room("irc", "#d"), f"{new.number} v{new.version}")])


if __name__ == "__main__":
    asyncio.run(main())
