"""A verb is one entry of the table and one use case: a made-up one is at home everywhere without another change."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from quarterdeck.core.desk.commands import COMMANDS, Command
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said, Turn, Vocabulary, Words
from quarterdeck.core.rules.moments import Where, Who
from tests.worlds.world import Deck

PLUGIN = Path(__file__).parents[3] / "plugins" / "deploy" / "deploy.py"


async def polish(desk: Desk, said: Said) -> list[str]:
    """`!polish SERVICE ENV`: says what it would polish; `slowly` takes a while."""
    intent = desk.grammar.intent(said.verb, said.text)
    for service in await desk.orders.services(intent.target):
        desk.authority.permit(said.actor, said.verb, service)
    if intent.reason == "slowly":
        await desk.clock.sleep(5.0)
    gently = " gently" if "--gently" in said.text else ""
    return [said.to_speaker(f"polishing {intent.title} {intent.environment}{gently}")]


POLISH = Command(
    name="polish",
    aliases=("shine",),
    words=Words("[ENV]", options=frozenset({"--gently"}), usual_environment="staging"),
    who=Who.DEPLOYERS,
    where=Where.SERVICE_ROOMS,
    turn=Turn.IN_ORDER,
    brief="!polish SERVICE",
    help="!polish SERVICE [ENV]: makes it shine",
    use_case=polish,
)


class PolishedDeck(Deck):
    """A world whose people may say it."""

    commands = (*COMMANDS, POLISH)


@pytest.fixture
async def deck() -> AsyncIterator[PolishedDeck]:
    """One for each test."""
    made = PolishedDeck()
    yield made
    await made.close()


async def test_it_is_understood(deck: PolishedDeck) -> None:
    """Its words in any order, by both of its names, with what stands in, and its own option, which no other verb takes."""
    assert await deck.say("polish codfw citoid") == "alice: polishing citoid codfw"
    assert await deck.say("shine citoid --gently") == "alice: polishing citoid staging gently"
    assert (
        await deck.say("polish")
        == "alice: which service? Say !polish SERVICE [ENV]. I know citoid, zotero. Nothing done"
    )
    assert "Did you mean: !polish citoid codfw" in await deck.say("polish citoid codfw2")
    assert "--gently is for !polish, !deploy does not know it" in await deck.say("deploy citoid staging --gently")
    assert "--pin is for !deploy and !preview, !polish does not know it" in await deck.say("polish citoid --pin")


async def test_it_is_authorised(deck: PolishedDeck) -> None:
    """By the rules, for whom and where its entry says."""
    assert "is for deployers" in await deck.say("polish citoid", "eve")
    assert "do not know the account mallory" in await deck.say("polish citoid", "mallory")
    assert "say that in #deploy" in await deck.say("polish citoid", room="#elsewhere")
    assert "say that in #deploy" in await deck.say("polish citoid", room="")


async def test_it_is_kept_in_turn(deck: PolishedDeck) -> None:
    """What one person orders is done in the order it was said; another person's is not held up."""
    answered: list[str] = []

    async def say(text: str, who: str) -> None:
        answered.append(await deck.say(text, who))

    deck.clock.standing = True
    slow = asyncio.create_task(say("polish citoid codfw -- slowly", "alice"))
    await asyncio.sleep(0)
    quick = asyncio.create_task(say("polish citoid eqiad", "alice"))
    others = asyncio.create_task(say("polish citoid staging", "bob"))
    await deck.until(others.done)
    assert answered == ["bob: polishing citoid staging"]
    deck.clock.standing = False
    await asyncio.gather(slow, quick)
    assert answered[1:] == ["alice: polishing citoid codfw", "alice: polishing citoid eqiad"]


async def test_it_is_in_help_and_in_did_you_mean(deck: PolishedDeck) -> None:
    """In the one line, in the long form, by name and alias, and for who mistypes it."""
    assert "| !polish SERVICE |" in await deck.say("help")
    assert POLISH.help in (await deck.say("help", room="")).splitlines()
    assert await deck.say("help polish") == await deck.say("help shine") == POLISH.help
    (said,) = await deck.dispatcher.answer("", deck.actor(), "!polihs citoid")
    assert said == "alice: no command !polihs. Did you mean !polish? Nothing done"


async def test_the_backend_hears_when_its_turn_is() -> None:
    """Who never waits for a thread is told by the table."""
    at_once = Command(name="halt", aliases=("whoa",), help="!halt", turn=Turn.AT_ONCE, use_case=polish)
    names = Vocabulary((*COMMANDS, at_once)).names_of(Turn.AT_ONCE)
    assert names == {"stop", "cancel", "abort", "halt", "whoa"}


class App:
    """Takes commands as the running one does, and answers them at once."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

    async def answer(self, verb: str, heard: object, text: str) -> list[str]:
        """Remember it."""
        self.taken.append((verb, text))
        return [f"{verb}!"]

    def submit(self, coroutine: Any) -> Future[Any]:
        """Run it to its end."""
        done: Future[Any] = Future()
        done.set_result(asyncio.run(coroutine))
        return done


def plugin_module() -> ModuleType:
    """The plugin's file, executed as Errbot does it."""
    spec = importlib.util.spec_from_file_location("made_up_plugin", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_in_the_plugin() -> None:
    """A plugin made from a table with it has a command for each of its names, as Errbot marks them."""
    module = plugin_module()
    plugin: Any = module.with_commands((*COMMANDS, POLISH))(type("Polishing", (module.Deploy,), {}))
    commands = {
        method._err_command_name: method for method in vars(plugin).values() if getattr(method, "_err_command", False)
    }
    assert {"polish", "shine", "deploy", "log", "cancel", "abort"} <= set(commands)
    assert commands["polish"].__doc__ == POLISH.help
    assert not commands["polish"]._err_command_historize
    app = App()
    speaking = SimpleNamespace(_bot=SimpleNamespace(app=app))
    speaking.ask = lambda *words: module.Deploy.ask(speaking, *words)
    message = SimpleNamespace(extras={"heard": None})
    assert list(commands["shine"](speaking, message, "citoid staging")) == ["polish!"]
    assert app.taken == [("polish", "citoid staging")]
