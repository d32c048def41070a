"""The one door for commands: which verb it is, when its turn is, and how a refusal reads."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from weakref import WeakValueDictionary

from quarterdeck.core.desk.commands import Command
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import Failed, NoCommand, NotUnderstood
from quarterdeck.core.desk.verb import Said, Turn, Verb, to_person
from quarterdeck.core.model.errors import QuarterdeckError, Refusal, RequestError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.orders.refusals import NotYet

log = logging.getLogger(__name__)


class Dispatcher:
    """Turns (verb, actor, words) into lines. Nothing a person says raises out of here."""

    def __init__(self, desk: Desk, commands: Iterable[Command]) -> None:
        self.desk = desk
        self._commands = {name: command for command in commands for name in command.names}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def answer(self, verb: str, actor: Actor, text: str, addressed: bool = False) -> list[str]:
        """The lines to say; none at all where the words are not for us.

        Args:
            verb: one of ours, or "" for a line whose first word is none of ours.
            addressed: the line began with our nick.
        """
        try:
            if not verb:
                return self._unknown(actor, text, addressed)
            command = self._commands[verb]
            if _is_another_bots(command, actor, text, addressed):
                return []
            async with self._turn(command, actor):
                return await command.use_case(self.desk, Said(command, actor, text))
        except RequestError as error:
            return [to_person(actor, self.told(error.refusal))]
        except QuarterdeckError as error:
            return [to_person(actor, self.told(Failed(str(error))))]
        except Exception:
            number = secrets.token_hex(3)
            log.exception("internal error %s in !%s", number, verb)
            return [to_person(actor, f"internal error {number}; nothing more was done by this command")]

    def told(self, refusal: Refusal) -> str:
        """What is said to somebody who is refused."""
        return self.desk.voice.refusal(refusal)

    def _turn(self, verb: Verb, actor: Actor) -> AbstractAsyncContextManager[object]:
        """What one person orders is done in the order it was said; !stop and what only looks never wait."""
        if verb.turn is not Turn.IN_ORDER:
            return nullcontext()
        return self._turns.setdefault(f"{actor.network}:{actor.account or actor.nick}", asyncio.Lock())

    def _unknown(self, actor: Actor, text: str, addressed: bool) -> list[str]:
        """Say "not yet" or "did you mean" for words nearly ours, and nothing for anybody else's."""
        words = text.lstrip("! ").split(maxsplit=1)
        word = words[0].lower() if words else ""
        near = self.desk.vocabulary.nearest(word) if word.isprintable() else ""
        refusal: Refusal
        if word in self.desk.vocabulary.planned:
            refusal = NotYet(f"!{word}")
        elif near:
            refusal = NoCommand(word, near)
        elif addressed or not actor.room:
            refusal = NotUnderstood(word)
        else:
            return []
        return [to_person(actor, self.told(refusal))]


def _is_another_bots(verb: Verb, actor: Actor, text: str, addressed: bool) -> bool:
    """Whether a verb that other bots know too was said in a room with words that are not for us."""
    if verb.in_a_room is None or not actor.room or addressed:
        return False
    return verb.in_a_room.fullmatch(text.strip()) is None
