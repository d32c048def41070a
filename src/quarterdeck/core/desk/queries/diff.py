"""`!diff ID`: the changed lines of each environment."""

from __future__ import annotations

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import ChangedLines
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.place import slug


async def diff(desk: Desk, said: Said) -> list[str]:
    """What the rollout changes."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    lines: list[tuple[str, str]] = []
    for place in rollout.environments:
        data, _ = await desk.files.read(rollout.number, f"{slug(place)}.diff")
        text = data.decode("utf-8", "replace")
        lines += [(place, line) for line in text.splitlines() if _changes(line)]
    return desk.tell(ChangedLines(rollout, tuple(lines)))


def _changes(line: str) -> bool:
    """Whether a line of a diff was added or taken out, and is not blank."""
    return line[:2] in ("+ ", "- ") and bool(line.strip("+- "))
