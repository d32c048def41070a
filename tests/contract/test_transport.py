"""What every transport promises, on a real IRC network and on the network in memory.

A new network passes by a `ChatStage` of its own (`tests/worlds/chat_stage.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from quarterdeck.chat import ChatError, Heard, Lost, Refused, TooOld, Transport
from quarterdeck.core.model.line import Line, Urgency, Utterance
from tests.servers.irc_server import IrcServer, shared_server, until
from tests.worlds.chat_stage import EARLY, FOREIGN_ROOM, NICK, OTHER_ROOM, ROOM, ChatStage, FakeStage, IrcStage

pytestmark = pytest.mark.asyncio(loop_scope="module")
NETWORKS = ("made-up", "irc")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=NETWORKS)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[ChatStage]:
    """One stage for the tests that leave it as they found it."""
    irc = request.param == "irc"
    made: ChatStage = await IrcStage.begin(shared_server(request.config)) if irc else await FakeStage.begin()
    yield made
    await made.close()


@pytest.fixture
def own_irc_server() -> Iterator[IrcServer]:
    """A network that a test may break."""
    server = IrcServer()
    yield server
    server.close()


@pytest_asyncio.fixture(loop_scope="module", params=NETWORKS)
async def own_stage(request: pytest.FixtureRequest) -> AsyncIterator[ChatStage]:
    """A stage that a test may break."""
    made: ChatStage
    if request.param == "irc":
        made = await IrcStage.begin(request.getfixturevalue("own_irc_server"))
    else:
        made = await FakeStage.begin()
    yield made
    await made.close()


@pytest.fixture
def nick(request: pytest.FixtureRequest) -> str:
    """A nick that nobody else has in this module."""
    return f"p{abs(hash(request.node.name)) % 10**8}"


async def hears(stage: ChatStage, text: str) -> Heard:
    """Wait until we hear this text."""
    await until(lambda: any(heard.text == text for heard in stage.heard), what=f"{text!r} heard; {stage.heard}")
    return next(heard for heard in stage.heard if heard.text == text)


async def test_a_transport_is_one(stage: ChatStage) -> None:
    """It is up, has its name, its rooms and words of its own."""
    transport = stage.transport
    assert isinstance(transport, Transport)
    assert transport.up
    assert transport.nick == NICK
    assert transport.rooms == (transport.room(ROOM), transport.room(OTHER_ROOM))
    assert all(room.network == transport.network for room in transport.rooms)
    words = transport.words
    assert all(clause and clause == clause.rstrip(".") for clause in (words.unidentified, words.identify))


async def test_who_speaks_is_vouched_for_by_the_network_and_not_by_the_nick(stage: ChatStage) -> None:
    """Alice is known under any nick, and whoever takes the nick alice is nobody."""
    alice, mallory = await stage.arrive("ali2", "alice"), await stage.arrive("alice")
    await alice.say("it is me", ROOM)
    await mallory.say("it is me too", ROOM)
    known, unknown = await hears(stage, "it is me"), await hears(stage, "it is me too")
    assert stage.transport.accounts_shown
    assert (known.network, known.room) == (stage.transport.network, stage.transport.room(ROOM))
    assert (known.nick, known.account, unknown.nick, unknown.account) == ("ali2", "alice", "alice", None)
    assert known.msgid != unknown.msgid
    assert known.at.utcoffset() is not None


async def test_what_is_said_to_us_alone_has_no_room_and_is_answered_to_the_person(stage: ChatStage, nick: str) -> None:
    """The nick of the line is an address."""
    speaker = await stage.arrive(nick)
    await speaker.say("psst")
    heard = await hears(stage, "psst")
    assert heard.room is None
    await stage.transport.say(Utterance(heard.nick, "hear, hear"))
    await speaker.sees("hear, hear")


async def test_what_is_said_to_us_by_name_is_known_as_that(stage: ChatStage, nick: str) -> None:
    """Whatever it takes on that network; the text stays as it was said."""
    speaker = await stage.arrive(nick)
    await speaker.say(f"{NICK}: status", ROOM)
    await speaker.say("!status of others", ROOM)
    assert (await hears(stage, f"{NICK}: status")).addressed == "status"
    assert (await hears(stage, "!status of others")).addressed is None


async def test_neither_notices_nor_our_own_lines_nor_the_past_are_heard(stage: ChatStage, nick: str) -> None:
    """Two bots cannot loop, and nothing runs that was said before we listened."""
    speaker = await stage.arrive(nick)
    await stage.transport.say(Utterance(ROOM, "!said by us"))
    await speaker.notice("!noticed", ROOM)
    await speaker.say("the end", ROOM)
    await hears(stage, "the end")
    assert not {"!said by us", "!noticed", EARLY} & {heard.text for heard in stage.heard}


async def test_each_line_of_a_text_is_one_message_as_it_stands(stage: ChatStage, nick: str) -> None:
    """Nothing is rendered, and empty lines go."""
    speaker = await stage.arrive(nick)
    await stage.transport.say(Utterance(nick, "- a: *b* _c_ <d>\n\n+ a: `e`\r\n```"))
    await speaker.sees("```")
    assert speaker.seen() == ["- a: *b* _c_ <d>", "+ a: `e`", "```"]


async def test_a_long_text_arrives_whole_in_whole_characters(stage: ChatStage, nick: str) -> None:
    """In as many messages as it takes."""
    speaker = await stage.arrive(nick)
    texts = ("é" * 600, "x" * 9000, "€ " * 400 + "END")
    for text in texts:
        await stage.transport.say(Utterance(nick, text))
    await until(lambda: "".join(speaker.seen()) == "".join(texts), what="every character seen")


async def test_a_line_that_fits_is_one_message_and_its_link_is_whole(stage: ChatStage, nick: str) -> None:
    """What a network has no room for is shortened by the network."""
    speaker = await stage.arrive(nick)
    reasons = [f"{'why ' * words}end" for words in (9000, 100, 2)]
    line = Line(stage.transport.room(ROOM), reasons[0], shorter=tuple(reasons[1:]), link="http://page/1")
    text = stage.transport.fit(line)
    assert text.endswith("end http://page/1")
    await stage.transport.say(Utterance(nick, text))
    await speaker.sees(text)
    short = Line(line.room, "short", link="http://page/1")
    assert stage.transport.fit(short) == "short http://page/1"


async def test_a_text_is_said_when_the_network_has_all_of_it(stage: ChatStage, nick: str) -> None:
    """Then nothing is left open."""
    speaker = await stage.arrive(nick)
    await stage.transport.say(Utterance(OTHER_ROOM, f"one\ntwo\nthree for {nick}"))
    assert await stage.transport.flush(1)
    await speaker.sees(f"three for {nick}")


async def test_a_repeat_under_the_same_id_shows_or_not_as_the_transport_says(stage: ChatStage, nick: str) -> None:
    """Whoever sends a line again relies on it."""
    speaker = await stage.arrive(nick)
    for text in ("first", "first", "second"):
        await stage.transport.say(Utterance(nick, text, id=f"{nick}-{text}"))
    await speaker.sees("second")
    assert speaker.seen() == ["first"] * (2 if stage.transport.repeats_show else 1) + ["second"]


async def test_equal_answers_without_an_id_are_all_said(stage: ChatStage, nick: str) -> None:
    """They are no repeats."""
    speaker = await stage.arrive(nick)
    for text in ("same", "same", "end"):
        await stage.transport.say(Utterance(nick, text))
    await speaker.sees("end")
    assert speaker.seen() == ["same", "same", "end"]


async def test_what_cannot_be_said_anywhere_is_refused(stage: ChatStage) -> None:
    """Nobody of that name, no room of ours, no name at all."""
    for to in ("nobody-here", FOREIGN_ROOM, "", "a b"):
        with pytest.raises(Refused):
            await asyncio.wait_for(stage.transport.say(Utterance(to, "hello")), 5)


async def test_c7_threads_enter_by_one_door_and_the_loop_alone_writes(stage: ChatStage, nick: str) -> None:
    """Eight threads say things at once: each line arrives once, and each thread's in order."""
    speaker, loop = await stage.arrive(nick), asyncio.get_running_loop()

    async def say(text: str) -> None:
        await stage.transport.say(Utterance(nick, text))

    def talk(thread: int) -> None:
        for number in range(5):
            asyncio.run_coroutine_threadsafe(say(f"{thread} {number}"), loop).result(10)

    await asyncio.gather(*(asyncio.to_thread(talk, thread) for thread in range(8)))
    await until(lambda: len(speaker.seen()) == 40, what="all lines seen")
    assert sorted(speaker.seen()) == [f"{thread} {number}" for thread in range(8) for number in range(5)]
    assert sorted(speaker.seen(), key=lambda text: text[0]) == sorted(speaker.seen())


async def test_what_waits_over_an_outage_is_said_after_it_the_urgent_first(own_stage: ChatStage) -> None:
    """And what is not worth saying any more is not."""
    await own_stage.cut()
    assert not own_stage.transport.up
    say = own_stage.transport.say
    news = say(Utterance(ROOM, "news"))
    verdict = say(Utterance(ROOM, "verdict", urgency=Urgency.VERDICT))
    with pytest.raises(TooOld):
        await say(Utterance(ROOM, "too late"), max_age=0.01)
    speaker = await own_stage.mend("guest")
    await asyncio.gather(news, verdict)
    await speaker.sees("news")
    assert speaker.seen() == ["verdict", "news"]
    assert own_stage.transport.up


async def test_what_was_not_confirmed_when_the_network_went_away_is_lost(own_stage: ChatStage) -> None:
    """Nobody can tell whether it arrived, and whoever said it is told so."""
    own_stage.freeze()
    waiting = asyncio.ensure_future(own_stage.transport.say(Utterance(ROOM, "into the void")))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    await own_stage.cut()
    with pytest.raises(ChatError):
        await waiting


async def test_what_waits_when_we_leave_is_lost(own_stage: ChatStage) -> None:
    """It will not be said by this process."""
    await own_stage.cut()
    waiting = asyncio.ensure_future(own_stage.transport.say(Utterance(ROOM, "never said")))
    await own_stage.leave()
    with pytest.raises(Lost):
        await waiting
