"""What is peculiar to IRC, against a real InspIRCd with Atheme, with channel history on; see also `test_transport.py`."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from quarterdeck.chat import Heard, IrcTransport, Lost, Refused, Timing, TooOld, tls_context
from quarterdeck.core.model.line import Urgency, Utterance
from quarterdeck.core.model.room import Room
from tests.servers.irc_server import ACCOUNTS, IrcServer, Person, shared_server, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOY = Room("irc", "#deploy")
QUICK = Timing(retry_login=0.2, rejoin=0.5, nick=0.5, services=0.3, sasl=2)


@dataclass
class Bot:
    """A running transport and what it told."""

    heard: list[Heard] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    transport: IrcTransport = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    def start(self, server: IrcServer, **changes: object) -> "Bot":
        """Start it; plain text unless told otherwise."""
        settings: dict[str, object] = {
            "host": server.endpoint.host,
            "port": server.endpoint.port,
            "tls": None,
            "nick": "quarterdeck",
            "account": "quarterdeck",
            "rooms": ["#deploy", "#ops"],
            "on_heard": self.heard.append,
            "on_state": self.states.append,
            "burst": 100,
            "rate": 100,
            "timing": QUICK,
        } | changes
        settings.setdefault("password", ACCOUNTS[str(settings["account"])])
        self.transport = IrcTransport(**settings)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.transport.run())
        return self

    async def up(self) -> "Bot":
        """Wait until it is where it should be."""
        await until(lambda: self.transport.up, what=f"up; told {self.states}")
        return self

    async def told(self, words: str, seconds: float = 20) -> None:
        """Wait for a state with these words."""
        await until(lambda: any(words in state for state in self.states), seconds, f"{words}; {self.states}")

    def texts(self) -> list[str]:
        """What it heard."""
        return [heard.text for heard in self.heard]

    async def hears(self, text: str) -> Heard:
        """Wait until it hears this text."""
        await until(lambda: text in self.texts(), what=f"heard {text!r}; {self.texts()}")
        return next(heard for heard in self.heard if heard.text == text)

    async def stop(self) -> None:
        """Let it leave."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class Stage:
    """One bot and some people in one channel, for tests that leave it as they found it."""

    server: IrcServer
    bot: Bot
    alice: Person
    """Logged in as alice, under another nick."""
    mallory: Person
    """Nobody, under the nick alice."""
    sre1: Person
    """Operator by ChanServ, and of #quiet (+m) and #secret (+i)."""
    squatter: Person
    """Nobody, under the nick qd2, until a bot of that name ends it."""
    flood: asyncio.Task[float]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> IrcServer:
    """The shared network."""
    return shared_server(request.config)


@pytest.fixture
def own_server() -> Iterator[IrcServer]:
    """A network that a test may break."""
    own = IrcServer()
    yield own
    own.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(server: IrcServer) -> AsyncIterator[Stage]:
    """Everybody arrives at once: registration waits for the server's one-second tick."""
    alice, mallory, sre1, squatter = await asyncio.gather(
        Person.arrive(server, "ali2", "#deploy", account="alice"),
        Person.arrive(server, "alice", "#deploy"),
        Person.arrive(server, "sre1", "#deploy", "#ops", "#quiet", "#secret", account="sre1"),
        Person.arrive(server, "qd2"),
    )
    sre1.send("MODE #quiet +m", "MODE #secret +i")
    alice.say("#deploy", "said before the bot came")
    flooder = Bot().start(
        server,
        port=server.endpoint.kill_port,
        nick="qd3",
        account="qd3",
        rooms=["#flood"],
        burst=8,
        rate=1,
        timing=Timing(),
    )

    async def flood() -> float:
        futures = [flooder.transport.say(Utterance("#flood", f"line {number}")) for number in range(6)]
        await asyncio.gather(*futures)
        return 0.0

    flood_task = asyncio.create_task(flood())
    bot = Bot().start(server, port=server.endpoint.tls_port, tls=tls_context(server.endpoint.ca))
    await bot.up()
    yield Stage(server, bot, alice, mallory, sre1, squatter, flood_task)
    people = (alice, mallory, sre1, squatter)
    await asyncio.gather(bot.stop(), flooder.stop(), *(person.leave() for person in people))


@contextlib.asynccontextmanager
async def running(server: IrcServer, **changes: object) -> AsyncIterator[Bot]:
    """Run a bot of the test's own."""
    bot = Bot().start(server, **changes)
    try:
        yield bot
    finally:
        await bot.stop()


async def only_hears_the_end(stage: Stage, person: Person, *lines: str | bytes) -> None:
    """Check that these lines come to nothing and the next one is heard."""
    stage.bot.heard.clear()
    person.send(*lines)
    person.say("#deploy", "the end")
    person.say("quarterdeck", "the end in private")
    await stage.bot.hears("the end in private")
    assert stage.bot.texts() == ["the end", "the end in private"]


async def test_an_account_is_told_by_the_network_and_not_by_the_nick(stage: Stage) -> None:
    """Alice is known under any nick, and whoever takes the nick alice is nobody."""
    stage.alice.say("#deploy", "it is me")
    stage.mallory.say("#deploy", "it is me too")
    known, unknown = await stage.bot.hears("it is me"), await stage.bot.hears("it is me too")
    assert (known.network, known.room, known.nick, known.account) == ("irc", DEPLOY, "ali2", "alice")
    assert known.mask == "u@127.0.0.1"
    assert known.msgid.startswith("0SB~")
    assert known.at.utcoffset() is not None
    assert (unknown.nick, unknown.account) == ("alice", None)
    assert stage.bot.transport.accounts_shown


async def test_private_lines_have_no_room(stage: Stage) -> None:
    """What is said to us alone is heard without a room."""
    stage.alice.say("QuarterDeck", "psst")
    assert (await stage.bot.hears("psst")).room is None


async def test_forged_tags_prove_nothing(stage: Stage) -> None:
    """A client cannot write its own account, id or time."""
    stage.mallory.send("@account=alice;msgid=zz;time=2020-01-01T00:00:00.000Z PRIVMSG #deploy :forged")
    heard = await stage.bot.hears("forged")
    assert heard.account is None
    assert heard.msgid != "zz"


async def test_k3_ctcp_of_any_kind_ends_nothing_and_is_not_heard(stage: Stage) -> None:
    """CTCP DCC without arguments, VERSION, ACTION and a lone mark are dropped."""
    odd = ["\x01DCC\x01", "\x01DCC", "\x01VERSION\x01", "\x01", "\x01ACTION !status\x01", "\x01\x01"]
    lines = [f"PRIVMSG {target} :{text}" for text in odd for target in ("#deploy", "quarterdeck")]
    await only_hears_the_end(stage, stage.mallory, *lines)


async def test_k4_mixed_case_channel_names_are_one_room(stage: Stage) -> None:
    """A topic and a line for #DEPLOY are those of #deploy."""
    stage.sre1.send("TOPIC #Deploy :new topic", "MODE #DEPLOY +v ali2")
    stage.alice.say("#DEPLOY", "loud")
    assert (await stage.bot.hears("loud")).room == DEPLOY


async def test_s3_a_notice_is_never_heard(stage: Stage) -> None:
    """A NOTICE to the room or to us is not for reacting to."""
    await only_hears_the_end(stage, stage.alice, "NOTICE #deploy :!status", "NOTICE quarterdeck :!status")


async def test_our_own_lines_and_lines_to_a_part_of_the_room_are_not_heard(stage: Stage) -> None:
    """The echo is a receipt, and what is said to the ops alone is not said to the room."""
    await stage.bot.transport.say(Utterance("#deploy", "!status"))
    await stage.bot.transport.say(Utterance("quarterdeck", "!status"))
    await only_hears_the_end(stage, stage.sre1, "PRIVMSG @#deploy :!status", "PRIVMSG $* :!status")


async def test_bytes_that_are_not_utf8_and_missing_arguments_end_nothing(stage: Stage) -> None:
    """Odd bytes become replacement characters; a line without text is none."""
    stage.mallory.send(b"PRIVMSG #deploy :odd \xff\xfe", b"PRIVMSG #deploy", b"PRIVMSG #deploy :", b"PRIVMSG")
    await stage.bot.hears("odd \ufffd\ufffd")
    stage.mallory.send(b"@" + b"+a=b;" * 700 + b"+c PRIVMSG #deploy :many tags")
    await stage.bot.hears("many tags")


async def test_o1_each_line_of_a_text_is_one_message_as_it_stands(stage: Stage) -> None:
    """A block is neither cut in a line nor rendered; empty lines and unsafe characters go."""
    text = "```\n- a: *b* _c_ <d>\n\n+ a: `e`\x00\x01\r\n\x07```"
    since = len(stage.alice.lines)
    await stage.bot.transport.say(Utterance("#deploy", f"{text}\nthe end of the block"))
    await stage.alice.sees("PRIVMSG #deploy :the end of the block$", since=since)
    *block, _ = stage.alice.said("quarterdeck", since)
    assert block == ["```", "- a: *b* _c_ <d>", "+ a: `e`", "```"]


async def test_o2_o3_long_texts_arrive_whole_in_whole_characters(stage: Stage) -> None:
    """Whatever its length, each byte of a text arrives and no character is broken."""
    for text in ("é" * 600 + "END", "x" * 447 + "END", "x" * 460 + "END", "€ " * 400 + "END"):
        since = len(stage.alice.raw)
        await stage.bot.transport.say(Utterance("#deploy", text))
        await stage.alice.sees("END$", since=since)
        raw = [line for line in stage.alice.raw[since:] if b"PRIVMSG" in line]
        assert "".join(stage.alice.said("quarterdeck", since)) == text
        assert all(len(line.partition(b" :quarterdeck!")[2]) < 512 for line in raw)
        assert max(len(line[line.index(b":quarterdeck!") :]) for line in raw) <= 512


async def test_a_nick_that_is_not_there_is_refused(stage: Stage) -> None:
    """Saying something to nobody fails with the server's reason, and so does what is no target at all."""
    with pytest.raises(Refused, match="No such nick"):
        await stage.bot.transport.say(Utterance("nobody-here", "hello"))
    for target in ("#a,#b", "", "a b", ":x", "x\r\nQUIT"):
        with pytest.raises(Refused):
            await stage.bot.transport.say(Utterance(target, "hello"))


async def test_somebody_away_still_gets_it(stage: Stage) -> None:
    """The server answers with two lines then, and that is one receipt."""
    stage.alice.send("AWAY :lunch")
    await stage.alice.sees(" 306 ")
    async with asyncio.timeout(2):
        await stage.bot.transport.say(Utterance("ali2", "for later"))
    stage.alice.send("AWAY")


async def test_a_kick_is_followed_by_a_rejoin(stage: Stage) -> None:
    """Out of the room we say so and come back; what was to be said waits."""
    stage.sre1.send("KICK #deploy quarterdeck :out")
    await stage.bot.told("kicked from #deploy by sre1: out")
    await stage.bot.transport.say(Utterance("#deploy", "I am back"))
    await stage.alice.sees("PRIVMSG #deploy :I am back")


async def test_c1_a_taken_nick_gets_a_tail_and_is_taken_back(server: IrcServer, stage: Stage) -> None:
    """While somebody has our nick we are nick_; once identified we ask for it back by GHOST."""
    async with running(server, nick="qd2", account="qd2", rooms=["#ops"]) as bot:
        await bot.up()
        await until(lambda: bot.transport.nick == "qd2")
        await stage.squatter.sees("ERROR|KILL")


async def test_history_is_not_heard_though_the_server_plays_it_back(server: IrcServer, stage: Stage) -> None:
    """With +N the server plays nothing; without it the batch is marked, and ignored."""
    async with running(server, nick="qd2", account="qd2", rooms=["#deploy"], user_modes="") as late:
        newcomer, _ = await asyncio.gather(Person.arrive(server, "newcomer", "#deploy"), late.up())
        await newcomer.sees("PRIVMSG #deploy :said before the bot came")
        stage.alice.say("#deploy", "said live")
        await asyncio.gather(late.hears("said live"), stage.bot.hears("said live"))
        assert late.texts() == ["said live"]
        await newcomer.leave()
    assert "said before the bot came" not in stage.bot.texts()


async def test_c9_ident_and_real_name_are_what_they_should_be(server: IrcServer, stage: Stage) -> None:
    """WHOIS shows the nick as ident and a real name that says what this is."""
    stage.alice.send("WHOIS quarterdeck")
    line = await stage.alice.sees(" 311 ")
    assert "~quarterdeck" in line or " quarterdeck quarterdeck " in line
    assert line.endswith(":Quarterdeck, the deploy bot")


async def test_rooms_without_voice_or_entry_are_told_and_the_others_work(server: IrcServer, stage: Stage) -> None:
    """404 goes to whoever said the line and to the state; a refused JOIN is named, and its lines fail at once."""
    rooms = ["#quiet", "#secret", "#ops"]
    async with running(server, nick="qd2", account="qd2", rooms=rooms) as bot:
        await bot.up()
        with pytest.raises(Refused, match="#quiet"):
            await bot.transport.say(Utterance("#quiet", "hello"))
        await bot.told("cannot speak to #quiet")
        await bot.told("cannot join #secret")
        await bot.transport.say(Utterance("#ops", "here I am"))
        for room in ("#secret", "#elsewhere"):
            with pytest.raises(Refused, match="we are not in"):
                await bot.transport.say(Utterance(room, "hello"))


async def test_s1_c4_a_certificate_that_cannot_be_verified_is_named_and_not_accepted(
    server: IrcServer,
) -> None:
    """An authority we do not know and a name that is not in the certificate both end the attempt, named."""
    port = server.endpoint.tls_port
    async with running(server, port=port, tls=tls_context()) as unknown:
        await unknown.told("is not accepted: unable to get local issuer certificate")
    own = tls_context(server.endpoint.ca)
    async with running(server, port=port, tls=own, server_name="irc.example.org") as wrong:
        await wrong.told("TLS: the certificate of")
        assert "irc.example.org" in wrong.states[0]


async def test_a_wrong_password_is_named_and_no_room_is_entered(server: IrcServer, stage: Stage) -> None:
    """We would be a guest; so we leave and say why."""
    async with running(server, nick="qd2", account="qd2", password="wrong", rooms=["#deploy"]) as bot:
        await bot.told("SASL: login as qd2 failed: SASL authentication failed")
        assert not bot.transport.up
    assert not any("JOIN" in line and "qd2" in line for line in stage.alice.lines[-3:])


async def test_leaving_says_quit(server: IrcServer, stage: Stage) -> None:
    """Cancelled, the transport leaves politely, and what still waits fails."""
    async with running(server, nick="qd2", account="qd2", rooms=["#deploy"]) as bot:
        waiting = bot.transport.say(Utterance("#deploy", "never said"))
        early = bot.transport.say(Utterance("#deploy", "too late"), max_age=0.01)
        with pytest.raises(TooOld):
            await early
        await bot.up()
        await waiting
        late = asyncio.gather(
            *(bot.transport.say(Utterance("#deploy", "x")) for _ in range(200)), return_exceptions=True
        )
        await asyncio.sleep(0)
    await stage.alice.sees(":qd2!.* QUIT :leaving")
    assert isinstance((await late)[-1], Lost)


async def test_c2_o7_after_an_outage_we_are_back_identified_and_say_what_was_waiting(
    own_server: IrcServer,
) -> None:
    """The server comes back before the services: we wait outside until we are identified, then speak."""
    async with running(own_server) as bot:
        await bot.up()
        own_server.kill("atheme")
        await until(lambda: not bot.transport.accounts_shown, what="no accounts shown")
        own_server.kill("inspircd")
        await bot.told("disconnected")
        waiting = bot.transport.say(Utterance("#deploy", "said during the outage", urgency=Urgency.VERDICT))
        own_server.start_ircd()
        await bot.told("the network offers no login just now")
        guest = await Person.arrive(own_server, "guest", "#deploy")
        assert not waiting.done()
        assert not any("quarterdeck" in line for line in guest.lines if " 353 " in line)
        own_server.start_services()
        await waiting
        await guest.sees("PRIVMSG #deploy :said during the outage")
        await until(lambda: bot.transport.accounts_shown)
        await guest.leave()


async def test_services_that_do_not_answer_are_named_within_the_deadline(own_server: IrcServer) -> None:
    """Stopped services never answer AUTHENTICATE; we do not wait for the server to throw us out."""
    atheme = own_server.child("atheme").process
    atheme.send_signal(signal.SIGSTOP)
    async with running(own_server, timing=Timing(sasl=0.3)) as bot:
        await bot.told("SASL: the services did not answer within 0.3 s")
        assert not bot.transport.up
        atheme.send_signal(signal.SIGCONT)
        await bot.up()


async def test_o5_the_pace_never_trips_the_servers_flood_rules(stage: Stage) -> None:
    """With 8 lines at once and one a second after that, the strictest port lets us live."""
    await stage.flood
