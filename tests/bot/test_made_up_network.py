"""A second network needs no change in core, desk, rules or views: the whole bot on a network that is not like IRC.

On `FakeNetwork` lines are long, each letter of a room's name counts, a repeat under one id is not seen, and people are
told in other words how to be known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from quarterdeck.app import App, Parts
from quarterdeck.chat import Heard
from quarterdeck.chat.commands import command_text
from quarterdeck.chat.naming import with_canonical_names
from quarterdeck.chat.sender import OutboxSender
from quarterdeck.core.desk.commands import VOCABULARY
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.line import Utterance
from quarterdeck.core.model.person import Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.engine import Engine
from quarterdeck.testing.events import FakeEvents
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.network import FakeNetwork, FakeTransport
from quarterdeck.testing.store import MemoryStore
from quarterdeck.views.chat import ChatVoice
from tests.worlds.world import IMAGE, LIMITS, NEW, PAGE, PROJECT, TEMPLATES, Deck, Limits, catalogue

NICK, ROOM, OTHER_ROOM = "qd", "Deploy Room", "deploy room"
ACCOUNTS = {"Alice": "@Alice:example.org", "Bob": "@Bob:example.org", "mallory": None, "alice": "@alice:example.org"}
VERBS = ("deploy", "confirm", "stop", "status", "whoami")


def on_the_network(known: Catalogue) -> Catalogue:
    """The catalogue with one room and one account for everybody on the made-up network."""

    def with_account(person: Person) -> Person:
        return replace(person, accounts={"made-up": f"@{person.name.capitalize()}:example.org"})

    citoid = replace(known.services["citoid"], rooms=(Room("made-up", ROOM),))
    people = {name: with_account(person) for name, person in known.people.items()}
    return replace(known, people=people, services={**known.services, "citoid": citoid})


class Bot(Deck):
    """The bot on the made-up network alone; only Errbot between app and transport is played."""

    def furnish(self, known: Catalogue, host: FakeHost, limits: Limits = LIMITS, ask_first: int = 0) -> None:
        """As any world, with its own network, and a store that stamps lines by the machine's clock as senders do."""
        self.server = FakeNetwork("made-up", dict(ACCOUNTS))
        self.heard_lines: asyncio.Queue[Heard] = asyncio.Queue()
        self.transport = FakeTransport(self.server, NICK, (ROOM, OTHER_ROOM), self.heard_lines.put_nowait)
        transports = {"made-up": self.transport}
        canonical = with_canonical_names(on_the_network(known), transports)
        words = {name: transport.words for name, transport in transports.items()}
        super().furnish(canonical, host, limits, ask_first)
        self.voice = ChatVoice(TEMPLATES, canonical, PAGE, "deploy1003", self.clock.now, words)
        self.store = MemoryStore("first", lambda: datetime.now(UTC))
        self.build()
        self.announcements = self.announcing(FakeEvents())
        self.app = App(transports, self.heard_lines, Engine(), self._parts, VOCABULARY)
        self.app.on_heard(self._hear)
        self._tasks: set[asyncio.Task[None]] = set()

    async def _parts(self) -> Parts:
        unused: Any = None
        return Parts(self.catalogue, self.store, self.redactor, self.dispatcher, self._nothing_to_take_up, {}, unused)

    @staticmethod
    async def _nothing_to_take_up() -> tuple[Rollout, ...]:
        return ()

    async def start(self) -> None:
        """What the engine keeps running."""
        services = await self.app._prepare()
        sender = OutboxSender(self.store, self.transport, asyncio.Event(), idle=0.01)
        for service in (services["hearing"], services["chat-made-up"], sender.run):
            self._keep(asyncio.create_task(service()))

    async def end(self) -> None:
        """Leave no task behind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.close()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)

    def _hear(self, heard: Heard) -> None:
        self._keep(asyncio.create_task(self._answer(heard)))

    async def _answer(self, heard: Heard) -> None:
        command = command_text(heard, self.transport.rooms, "!", VERBS)
        if command is None:
            return
        verb, _, words = command.removeprefix("!").partition(" ")
        to = heard.room.name if heard.room else heard.nick
        for line in await self.app.answer(verb, heard, words):
            await self.transport.say(Utterance(to, line))

    def seen(self, to: str = ROOM) -> list[str]:
        """What the bot said in a room or to a person."""
        return [message.text for message in self.server.messages if message.by == NICK and message.to == to]

    async def sees(self, words: str, to: str = ROOM) -> str:
        """Wait until somebody sees a line of the bot's with these words."""
        await self.until(lambda: any(words in text for text in self.seen(to)))
        return next(text for text in self.seen(to) if words in text)


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    """The bot, running."""
    made = Bot()
    await made.start()
    yield made
    await made.end()


async def test_a_rollout_is_announced_asked_for_and_confirmed_there(bot: Bot) -> None:
    """From the new image to the verdict in production, by two people, in one room."""
    bot.review.merge(bot.review.made(PROJECT, {"Old": b"x"}, "mvolz", "Old").number)
    await bot.announcements.look()
    bot.clock.forward(60)
    change = bot.review.made(PROJECT, {"New": b"y"}, "mvolz", "Fix DOI regex")
    bot.review.merge(change.number)
    tags = f"IMAGE:\n docker-registry.example/{IMAGE}:{NEW}\n\nTAGS:\n {NEW}\n"
    result = "pipeline-build-result: SUCCESS (job: citoid-pipeline-publish, build: 7)"
    bot.review.comment(change.number, "pipelinebot", f"{result}\n\n{tags}")
    await bot.announcements.look()
    await bot.sees("citoid: image 2026-08-17-094555 ready")

    bot.server.say("Alice", "!deploy citoid staging", ROOM)
    await bot.sees("#1 citoid staging OK")
    bot.server.say("Alice", f"{NICK}: deploy citoid production", ROOM)
    question = await bot.sees("!confirm")
    code = question.split("!confirm ")[1].split(",")[0]
    bot.server.say("Bob", f"!confirm {code}", ROOM)
    await bot.sees("#2 goes on")
    await bot.sees("#2 citoid codfw then eqiad OK")
    assert bot.rollout(2).state is State.SUCCEEDED
    assert bot.rollout(2).home == Room("made-up", ROOM)
    assert not any("(again)" in text for text in bot.seen())


async def test_each_letter_of_a_room_and_of_an_account_counts(bot: Bot) -> None:
    """`deploy room` is another room than `Deploy Room`, and alice another account than Alice."""
    bot.server.say("Alice", "!deploy citoid staging", OTHER_ROOM)
    assert ROOM in await bot.sees("say that in", OTHER_ROOM)
    bot.server.say("alice", "!deploy citoid staging", ROOM)
    assert "I do not know the account @alice:example.org" in await bot.sees("I do not know")
    assert bot.store.tables.rollouts == {}


async def test_people_are_told_in_the_networks_words_how_to_be_known(bot: Bot) -> None:
    """NickServ is IRC's."""
    bot.server.say("mallory", "!deploy citoid staging", ROOM)
    refusal = await bot.sees("mallory: ")
    words = FakeTransport.words
    assert refusal == f"mallory: {words.unidentified}. {words.identify}, then say it again. Nothing done"
    bot.server.say("mallory", "whoami")
    assert words.identify in await bot.sees("mallory: ", "mallory")
    bot.server.shows_accounts = False
    bot.server.say("Alice", "!deploy citoid staging", ROOM)
    assert await bot.sees("Alice: ") == f"Alice: {words.accounts_hidden}, I can take no commands here. Nothing done"
    assert not any("NickServ" in message.text for message in bot.server.messages)


async def test_a_long_reason_is_told_whole(bot: Bot) -> None:
    """IRC would have 400 bytes for it."""
    files = ", ".join(f"helmfile.d/services/service-{number}/values.yaml" for number in range(12))
    bot.cluster.stuck, bot.cluster.problem = True, f"local change in {files}"
    bot.server.say("Alice", f"!deploy citoid staging {NEW}", ROOM)
    verdict = await bot.sees("FAILED")
    assert files in verdict
    assert len(verdict.encode()) > 400
    assert verdict.endswith(f"{PAGE}/1")


async def test_what_is_said_again_after_a_crash_is_seen_once(bot: Bot) -> None:
    """The process dies before it can note what the network has; the next one says it again under the same id."""
    bot.server.say("Alice", f"!deploy citoid staging {NEW}", ROOM)
    await bot.sees("#1 citoid staging OK")
    await bot.until(lambda: all(row.sent for row in bot.store.tables.outbox.values() if row.row.line.room.name == ROOM))
    seen = bot.seen()
    for number in bot.store.tables.outbox:
        await bot.store.unsent(number)
    bot.store = bot.store.reborn("second")
    again = asyncio.create_task(OutboxSender(bot.store, bot.transport, asyncio.Event(), idle=0.01).run())
    await bot.until(lambda: all(row.sent for row in bot.store.tables.outbox.values() if row.row.line.room.name == ROOM))
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    assert bot.seen() == seen


def test_it_is_the_catalogue_of_every_other_test() -> None:
    """But for rooms and accounts, which are the made-up network's."""
    known = on_the_network(catalogue())
    assert set(known.people) == set(catalogue().people)
    assert known.services["citoid"].images == (IMAGE,)
