"""`!confirm CODE [with N]`: answers an open question, where it was asked."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import GoesOn
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import (
    AlreadyConfirmed,
    JustClosed,
    NoSuchCode,
    NothingCounted,
    NothingWaits,
    WrongCount,
)
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import Refusal, RequestError, StaleError
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.records import GateIntent
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rules.asking import Answer, matches


async def confirm(desk: Desk, said: Said) -> list[str]:
    """Say yes to the question of that code, and let its rollout go on."""
    code, count = grammar.code_and_count(said.text)
    for rollout in await desk.store.find({State.WAITING}, limit=200):
        if rollout.home != said.actor.room or rollout.code.lower() != code:
            continue
        desk.authority.permit_on(said.actor, said.verb, rollout)
        answer = matches(code, count, rollout, desk.clock.now())
        if answer is Answer.TOO_LATE:
            return _told(desk, said, JustClosed(rollout.number))
        if answer is Answer.WRONG_COUNT and not rollout.code_count:
            return _told(desk, said, NothingCounted(rollout.number, rollout.code))
        if answer is Answer.WRONG_COUNT:
            raise RequestError(WrongCount(rollout.number, rollout.code, rollout.code_count))
        return await approve(desk, said, rollout)
    return _told(desk, said, await _why_no_such_code(desk, code, said.actor.room))


async def approve(desk: Desk, said: Said, waiting: Rollout) -> list[str]:
    """Let a rollout that waits go on, unless somebody was faster."""
    gate, now, answered_by = waiting.current, desk.clock.now(), said.actor.name
    assert gate is not None
    assert isinstance(gate.intent, GateIntent), "what waits has a question"
    answered = replace(gate, intent=replace(gate.intent, answered=answered_by, code=waiting.code, at=now))
    going = advance(
        waiting,
        Move.APPROVE,
        now,
        steps=waiting.with_step(answered).steps,
        note=f"confirmed by {answered_by}",
        moved_by=answered_by,
    )
    try:
        saved = await desk.store.save(waiting, going)
    except StaleError:
        return _told(desk, said, await _why_no_such_code(desk, waiting.code.lower(), waiting.home))
    desk.deployer.take_up(saved)
    return desk.tell(GoesOn(saved))


def _told(desk: Desk, said: Said, refusal: Refusal) -> list[str]:
    return [said.to_speaker(desk.voice.refusal(refusal))]


async def _why_no_such_code(desk: Desk, code: str, room: Room | None) -> Refusal:
    for rollout in await desk.store.find(limit=50):
        question = rollout.records.question
        if question and question.at and question.code.lower() == code:
            return AlreadyConfirmed(rollout.number, question.answered, f"{question.at:%H:%M:%S}")
    waiting = [rollout for rollout in await desk.store.find({State.WAITING}, limit=50) if rollout.home == room]
    if not waiting:
        return NothingWaits()
    return NoSuchCode(code, tuple(f"#{rollout.number} {rollout.title}" for rollout in waiting))
