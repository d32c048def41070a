"""`!diff ID`: the changed lines of each environment."""

from __future__ import annotations

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.rollouts import at_most
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.place import slug


async def diff(desk: Desk, said: Said) -> list[str]:
    """What the rollout changes."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    lines: list[str] = []
    for place in rollout.environments:
        data, _ = await desk.files.read(rollout.number, f"{slug(place)}.diff")
        text = data.decode("utf-8", "replace")
        shown = (" ".join(line.split()) for line in text.splitlines() if _changes(line))
        lines += [f"#{rollout.number} {rollout.spoken(place)}: {line}" for line in shown]
    if not lines:
        not_yet = "" if rollout.records.diffed else " yet: it did not diff"
        return [f"#{rollout.number} has no changed lines{not_yet}. {desk.page}/{rollout.number}"]
    return at_most(lines, rollout, desk.page)


def _changes(line: str) -> bool:
    """Whether a line of a diff was added or taken out, and is not blank."""
    return line[:2] in ("+ ", "- ") and bool(line.strip("+- "))
