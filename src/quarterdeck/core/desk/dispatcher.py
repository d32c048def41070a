"""The one door for commands: who says it, which use case answers, and how a refusal reads."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from weakref import WeakValueDictionary

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.actions import Actions
from quarterdeck.core.desk.answers import HELP, Answers
from quarterdeck.core.desk.grammar import LATER_VERBS, NOTHING
from quarterdeck.core.desk.preview import Preview
from quarterdeck.core.model.errors import QuarterdeckError, RequestError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.rollout.intent import Target

log = logging.getLogger(__name__)
_IN_TURN = frozenset({"deploy", "apply", "confirm", "retry", "rollback"})
#: what follows `!log` where it is ours without our nick
_LOG = re.compile(r"[#r]?[0-9]+(\s+[0-9]+)?")


class Reception:
    """Turns (verb, actor, words) into lines. Nothing a person says raises out of here."""

    def __init__(self, desk: Actions, answers: Answers, preview: Preview) -> None:
        self._say_one: Mapping[str, Callable[[Actor, str], Awaitable[str]]] = {
            "deploy": desk.deploy,
            "apply": desk.apply,
            "confirm": desk.confirm,
            "stop": desk.stop,
            "retry": desk.retry,
            "rollback": desk.rollback,
            "preview": preview.preview,
        }
        self._say_many: Mapping[str, Callable[[Actor, str], Awaitable[list[str]]]] = {
            "status": answers.status,
            "versions": answers.versions,
            "diff": answers.diff,
            "pods": answers.pods,
            "log": answers.log,
            "whoami": answers.whoami,
            "help": answers.help,
        }
        self._answers = answers
        self._desk = desk
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
            if verb == "log" and actor.room and not addressed and not _LOG.fullmatch(text.strip()):
                return []  # other bots' !log
            if verb == "deploy" and (alone := self._alone(text)) is not None:
                return await self._options(actor, alone)
            if verb in self._say_one:
                async with self._turn(verb, actor):
                    said = await self._say_one[verb](actor, text)
                return [self._to(actor, said)] if said else []
            return await self._say_many[verb](actor, text)
        except RequestError as error:
            return [self._to(actor, self._refused(error), always=True)]
        except QuarterdeckError as error:
            return [self._to(actor, f"{error}. {NOTHING}", always=True)]
        except Exception:
            number = secrets.token_hex(3)
            log.exception("internal error %s in !%s", number, verb)
            return [self._to(actor, f"internal error {number}; nothing more was done by this command")]

    def _refused(self, error: RequestError) -> str:
        return self._desk.world.voice.refusal(error.refusal)

    def _turn(self, verb: str, actor: Actor) -> AbstractAsyncContextManager[object]:
        """What one person orders is done in the order it was said; !stop and what only looks never wait."""
        if verb not in _IN_TURN:
            return nullcontext()
        return self._turns.setdefault(f"{actor.network}:{actor.account or actor.nick}", asyncio.Lock())

    def _to(self, actor: Actor, text: str, always: bool = False) -> str:
        """The text for that person; in a room what is of a rollout (#42 …) is for all, unless *always* is set."""
        named = text.startswith(f"{actor.nick}:") or (text.startswith("#") and not always)
        return text if named or not actor.room else f"{actor.nick}: {text}"

    def _alone(self, text: str) -> Target | None:
        """The target, if it is the only word."""
        said, catalogue = text.split(), self._desk.world.catalogue
        return grammar.target_of(said[0].lower(), catalogue.services, catalogue.groups) if len(said) == 1 else None

    async def _options(self, actor: Actor, target: Target) -> list[str]:
        """`!deploy citoid` alone never acts: the versions, and the exact commands."""
        catalogue = self._desk.world.catalogue
        if target.service and not target.part:
            which = await self._desk.orders.which_part(catalogue.services[target.service], "deploy", "staging")
            if which:
                return [self._to(actor, self._desk.world.voice.refusal(which))]
        lines = await self._answers.versions_of(target)
        title = target.title
        return [*lines, self._to(actor, f"say !deploy {title} staging, or !deploy {title} production. {NOTHING}")]

    def _unknown(self, actor: Actor, text: str, addressed: bool) -> list[str]:
        words = text.lstrip("! ").split(maxsplit=1)
        word = words[0].lower() if words else ""
        if word in LATER_VERBS:
            return [self._to(actor, f"!{word}: not yet. {NOTHING}")]
        near = grammar.nearest(word, HELP) if word.isprintable() else ""
        if near:
            return [self._to(actor, f"no command !{grammar.clip(word)}. Did you mean !{near}? {NOTHING}")]
        if addressed or not actor.room:
            return [self._to(actor, f"I do not know {grammar.clip(word) or 'that'}. Say !help. {NOTHING}")]
        return []
