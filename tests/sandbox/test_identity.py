"""Whom the bot obeys: accounts that the network vouches for, live, in the service's room, and nobody else."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.bot.config import NICK
from sandbox.bot.run import ROOM
from sandbox.story.irc_client import IrcClient
from tests.running import RunningSandbox
from tests.sandbox.live import Live, Order

pytestmark = pytest.mark.sandbox

SERVICE = "cxserver"
UNKNOWN_TAG = "1999-01-01-000000"
DEPLOY = f"!deploy {SERVICE} staging {UNKNOWN_TAG}"  # goes as far as the registry, which has no such tag
LET_IN = f"the registry has no tag {UNKNOWN_TAG}"
IDENTIFY = (
    "you are not identified to services, so I cannot know you. /msg NickServ IDENTIFY, then say it again. Nothing done"
)


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """People, and a bot that asks before a person's first rollout anywhere."""
    made = Live(sandbox.name, sandbox.found)
    try:
        made.start(ask_first_rollouts=1000)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def asked(live: Live) -> Order:
    """A rollout of alice's that waits for a confirm."""
    live.deploy_by_hand(SERVICE, "staging")
    order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
    live.line(rf"#{order.number} .*!confirm ", order.heard, 60)
    return order


@contextmanager
def person(live: Live, nick: str, account: str = "") -> Iterator[IrcClient]:
    """Somebody with a nick and, if it is named, an account."""
    if account:
        with IrcClient.of(live.found, account, nick) as client:
            yield client
    else:
        irc = live.found["irc"]
        with IrcClient(irc["host"], irc["port"], nick, rooms=irc["channels"]) as client:
            yield client


def answer(client: IrcClient, line: str, room: str = ROOM) -> str:
    """Say a line, and the bot's next line to that nick."""
    after = len(client.lines) - 1
    client.say(room, line)
    if room == NICK:
        return client.wait_for(".", 20, nick=NICK, room=NICK, after=after).text
    said = client.wait_for(f"^{client.nick}: ", 20, nick=NICK, room=room, after=after).text
    return said.removeprefix(f"{client.nick}: ")


def code(live: Live, order: Order) -> str:
    """What answers its question."""
    return str(next(line for line in live.json(order.number)["next"] if line.startswith("!confirm ")))


def stray(live: Live, seconds: float = 0.0) -> list[str]:
    """What the bot says before the answer to a last question."""
    after = live.heard()
    time.sleep(seconds)  # nothing can be awaited: it is nothing that must not come
    live.say(f"{NICK}: whoami")
    last = live.line("^alice: account alice", after)
    return [x.text for x in live.alice.lines if after < x.number < last.number and x.nick == NICK]


def test_an_account_is_the_same_person_under_any_nick(live: Live) -> None:
    """sre1 called lunch may what sre1 may."""
    with person(live, "lunch", "sre1") as client:
        assert answer(client, "!whoami").startswith("account sre1 = sre1 (sre1 on ")
        assert answer(client, DEPLOY).startswith(LET_IN)


def test_a_nick_is_nobody(live: Live) -> None:
    """Whoever takes a deployer's nick is told to identify, in the room and in private."""
    with person(live, "sre1") as client:
        assert answer(client, DEPLOY) == IDENTIFY
        assert answer(client, DEPLOY, NICK) == IDENTIFY
        assert answer(client, "!whoami").startswith("you are not identified to services")
        for line in ("!apply cxserver staging", "!rollback cxserver", "!stop 1", "!retry 1", "!confirm prod-k7p"):
            assert answer(client, line).endswith("Nothing done")


def test_an_account_the_catalogue_does_not_know_is_told_whom_to_ask(live: Live) -> None:
    """Mallory is identified, and nobody's deployer."""
    want = "I do not know the account mallory. Ask whoever keeps the catalogue to add it to the people in my catalogue. Nothing done"
    assert answer(live.people["mallory"], DEPLOY) == want
    assert "may look, not deploy" in answer(live.people["mallory"], "!whoami")


def test_a_question_is_answered_by_any_deployer_and_by_nobody_else(live: Live, asked: Order) -> None:
    """Not by mallory, not by a nick, not in private; by bob, though alice was asked, once."""
    confirm = code(live, asked)
    assert "I do not know the account mallory" in answer(live.people["mallory"], confirm)
    with person(live, "sre1") as client:
        assert answer(client, confirm) == IDENTIFY
    assert answer(live.people["bob"], confirm, NICK).endswith("Nothing done")
    assert live.json(asked.number)["state"] == "WAITING"
    said, _ = live.say(confirm, "bob")
    assert f"#{asked.number} goes on" in live.line(rf"#{asked.number} ", said).text
    assert "already confirmed by bob" in live.answer(confirm)
    assert " OK " in live.verdict(asked)


def test_in_private_nothing_begins(live: Live, asked: Order) -> None:
    """A deploy, an apply, a retry and a confirm are said where others read them."""
    bob = live.people["bob"]
    for line in (DEPLOY, "!apply cxserver staging", f"!retry {asked.number}"):
        refusal = answer(bob, line, NICK)
        assert re.search(rf"{ROOM}.*Nothing done$", refusal), refusal


def test_a_stop_in_private_is_echoed_in_the_room(live: Live) -> None:
    """Stopping never waits for the right window, but the room sees who did it."""
    order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
    live.line(rf"#{order.number} .*!confirm ", order.heard, 60)
    heard = live.heard()
    live.people["bob"].say(NICK, f"!stop {order.number}")
    assert live.line(rf"#{order.number}", heard).text == f"#{order.number}: bob says !stop, in private"
    assert "stopped by bob" in live.json(order.number)["note"]


def test_a_rollback_in_private_is_seen_in_the_room(live: Live) -> None:
    """What it begins, or that it began nothing, is no secret: the rollout speaks in the service's room."""
    assert answer(live.people["bob"], f"!rollback {SERVICE} staging {UNKNOWN_TAG}", NICK).startswith("the registry")
    heard = live.heard()
    live.people["bob"].say(NICK, f"!rollback {SERVICE} staging {live.push(SERVICE)}")
    line = live.line(rf"#\d+ {SERVICE} staging ", heard)
    order = Order(int(line.text.split("#")[1].split()[0]), line, heard, 0.0)
    live.say(f"!stop {order.number}", "bob")
    assert "stopped by bob" in live.verdict(order)


def test_a_notice_is_no_command(live: Live) -> None:
    """Bots speak in notices; whoever obeys them talks to himself."""
    for line in (DEPLOY, "!whoami", "!status", f"{NICK}: whoami"):
        live.alice.say(ROOM, line, notice=True)
        live.alice.say(NICK, line, notice=True)
    assert stray(live) == []


def test_what_was_said_before_the_bot_listened_is_never_done(live: Live) -> None:
    """The channel keeps history and plays it back; the bot says what it did not hear, and does none of it."""
    assert live.bot is not None
    before = [line.split()[0] for line in live.page("/").splitlines() if line.startswith("#")]
    live.bot.stop()
    for line in (DEPLOY, f"!deploy {SERVICE} staging", "!whoami", "!status", f"{NICK}: whoami"):
        live.say(line)
    live.start(ask_first_rollouts=1000)
    assert stray(live, seconds=1) == []
    assert [line.split()[0] for line in live.page("/").splitlines() if line.startswith("#")] == before
