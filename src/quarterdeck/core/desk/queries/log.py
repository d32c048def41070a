"""`!log ID [LINES]`: the end of the newest helmfile log."""

from __future__ import annotations

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import LogEnd
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.rollouts import log_names
from quarterdeck.core.desk.refusals import HowManyLines
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import RequestError

_USUAL_LINES = 10


async def log(desk: Desk, said: Said) -> list[str]:
    """Its last lines; with 0 how many there are."""
    number, rest = grammar.number_and_rest(said.verb, said.text)
    if len(rest) > 1 or not all(map(grammar.is_count, rest)):
        raise RequestError(HowManyLines(number))
    rollout = await desk.rollout(number)
    lines: list[str] = []
    for name in log_names(rollout):
        data, _ = await desk.files.read(number, name)
        lines += [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return desk.tell(LogEnd(number, tuple(lines), int(rest[0]) if rest else _USUAL_LINES))
