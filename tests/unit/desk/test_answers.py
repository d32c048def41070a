"""Commands that only look: they tell what is, in one line where one will do, also when half the world is away."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.state import State
from tests.worlds.world import NEW, OLD, SECRET, Deck, config_map


async def test_a_service_in_one_line(deck: Deck) -> None:
    """Debts first, then git, environments in rollout order, the newest image, open business, the link."""
    deck.announce("2026-08-18-081200-production", 502)
    await deck.deploy(f"citoid staging {NEW}")
    assert await deck.say("status citoid") == (
        "citoid: codfw, eqiad pending since 14:00 (#1 alice) | git 2026-08-17-094555 | "
        "staging 2026-08-17-094555 1/1 | codfw, eqiad 2026-08-06-230932 2/2, behind git | newest 2026-08-18-081200 | "
        "http://deck.example/"
    )
    assert await deck.say("versions citoid") == (
        "citoid: git, staging 2026-08-17-094555 | codfw, eqiad 2026-08-06-230932 | newest 2026-08-18-081200"
    )


async def test_nothing_open(deck: Deck) -> None:
    """The overview of a quiet day."""
    assert await deck.say("status") == "running: none | waiting: none | http://deck.example/"


async def test_what_is_wrong_comes_first(deck: Deck) -> None:
    """FAILED before pending before what runs."""
    deck.cluster.status = 1
    await deck.deploy()
    said = await deck.say("status")
    assert said.startswith("FAILED: #1 citoid staging (alice")
    assert "pending: citoid codfw, citoid eqiad, citoid staging" in said


async def test_one_rollout_and_mine(deck: Deck) -> None:
    """By number in all its forms, and one's own."""
    await deck.deploy()
    waiting = await deck.deploy("citoid production")
    assert waiting.state is State.WAITING
    for text in ("2", "#2", "r2"):
        assert (await deck.say(f"status {text}")).startswith(
            "#2 citoid codfw+eqiad 2026-08-17-094555 WAITING, till 14:"
        )
    assert "waiting: #2" in await deck.say("status mine")
    assert "waiting: none" in await deck.say("status mine", "bob")
    assert (await deck.say("status 99")).endswith("Nothing done")
    assert (await deck.say("status nothing")).endswith("Nothing done")
    assert (await deck.say("status a b")).endswith("Nothing done")


async def test_what_cannot_be_seen_reads_as_a_question_mark(deck: Deck) -> None:
    """One dead data centre or a dead Gerrit hides nothing else."""
    deck.cluster.faults.always("objects codfw", TemporaryError("timed out"))
    said = await deck.say("status citoid")
    assert "| codfw ?" in said
    assert "eqiad 2026-08-06-230932 2/2" in said
    deck.charts.faults.always("tip", TemporaryError("Gerrit is away"))
    said = await deck.say("status citoid")
    assert "staging 2026-08-06-230932 1/1" in said
    assert "Nothing done" not in said


async def test_versions_of_several(deck: Deck) -> None:
    """A line each; no name is a question back."""
    assert "which service?" in await deck.say("versions")
    assert "newest 2026-08-17-094555" in await deck.say("versions citoid")


async def test_diff_pods_and_log(deck: Deck) -> None:
    """What was diffed, what runs now, the end of helmfile's log, without secrets."""
    await deck.deploy()
    assert f"- image: registry.example/wikimedia/mediawiki-services-citoid:{OLD}" in await deck.say("diff 1")
    assert "#1 staging: citoid-2026-08-17-094555-production-0 2026-08-17-094555 ready" in await deck.say("pods 1")
    log = await deck.say("log 1 2")
    assert log.splitlines()[-1].split() == ["#1", "main", "UPDATED"]
    assert len(log.splitlines()) == 2
    assert SECRET not in log
    assert "2 lines" in await deck.say("log 1 0")
    for command in ("diff", "diff x", "diff 99", "diff 1 2", "pods 1 2"):
        assert (await deck.say(command)).endswith("Nothing done")
    for command in ("log 1 x", "log 1 2 3", "log 99"):
        (said,) = await deck.dispatcher.answer("log", deck.actor(), command.removeprefix("log "), addressed=True)
        assert said.endswith("Nothing done")


async def test_long_answers_are_cut_with_the_page_named(deck: Deck) -> None:
    """At most forty lines."""
    deck.cluster.replicas["staging"] = 50
    deck.cluster.run("staging", OLD)
    await deck.deploy()
    lines = (await deck.say("pods 1")).splitlines()
    assert len(lines) == 41
    assert lines[-1] == "#1: 10 more lines: http://deck.example/1"


async def test_pods_that_cannot_be_seen(deck: Deck) -> None:
    """Said, with why."""
    await deck.deploy()
    deck.cluster.faults.always("objects", TemporaryError("timed out"))
    assert await deck.say("pods 1") == "#1 staging: cannot be seen: timed out"


async def test_a_diff_with_a_surprise(deck: Deck) -> None:
    """Every changed line, of every environment."""
    deck.cluster.extra["staging"] = config_map()
    rollout = await deck.deploy()
    assert rollout.state is State.WAITING
    assert "#1 staging: + memory: 600Mi" in await deck.say("diff 1")


async def test_nothing_to_show_yet(deck: Deck) -> None:
    """A rollout that failed before its diff."""
    from quarterdeck.testing.review import Gate

    deck.review.gate = Gate.FAIL
    await deck.deploy()
    assert "did not diff" in await deck.say("diff 1")
    assert "has no log yet" in await deck.say("log 1")


async def test_who_i_am(deck: Deck) -> None:
    """Account, person, groups; what strangers are to do."""
    said = await deck.say("whoami")
    assert said == "alice: account alice = alice (alice on deploy1003), groups deployers; may deploy citoid"
    assert "unknown to me" in await deck.say("whoami", "mallory")
    (said,) = await deck.dispatcher.answer("whoami", deck.actor("x", account=None), "")
    assert "/msg NickServ IDENTIFY" in said
    assert "may deploy nothing" in await deck.say("whoami", "eve")


async def test_help(deck: Deck) -> None:
    """One line in the room, everything in private, one command by name."""
    assert len((await deck.say("help")).splitlines()) == 1
    private = (await deck.say("help", room="")).splitlines()
    assert len(private) > 10
    assert private[-1].startswith("alice: account alice")
    assert (await deck.say("help !deploy")).startswith("!deploy SERVICE[/PART]|@GROUP ENV [TAG]")
    assert (await deck.say("help cancel")).startswith("!stop ID")
    assert "Did you mean !help deploy?" in await deck.say("help deplox")
    assert "I know deploy, apply" in await deck.say("help me")


@pytest.mark.parametrize("command", ["bash", "ping", "seen alice", "logs"])
async def test_silence_on_words_of_other_bots(deck: Deck, command: str) -> None:
    """Whatever is not ours is not answered, unless it was said to us."""
    said = await deck.dispatcher.answer("", deck.actor(), f"!{command}")
    assert said == [] or "Did you mean !log?" in said[0]
    addressed = await deck.dispatcher.answer("", deck.actor(), command, addressed=True)
    assert addressed[0].endswith("Nothing done")


async def test_reception_edges(deck: Deck) -> None:
    """Planned verbs, near misses, other bots' !log, an internal error without its text."""
    assert await deck.dispatcher.answer("", deck.actor(), "!pending") == ["alice: !pending: not yet. Nothing done"]
    (near,) = await deck.dispatcher.answer("", deck.actor(), "!deplyo citoid staging")
    assert "Did you mean !deploy?" in near
    assert await deck.dispatcher.answer("log", deck.actor(), "alice finished something") == []
    assert await deck.dispatcher.answer("", deck.actor(), "") == []
    deck.charts.faults.once("tip", ZeroDivisionError("secret detail"))
    (said,) = await deck.dispatcher.answer("deploy", deck.actor(), "citoid staging")
    assert "internal error" in said
    assert "secret detail" not in said
