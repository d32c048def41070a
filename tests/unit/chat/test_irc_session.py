"""The transport against a server that a test plays line by line, for what no real one does on demand."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quarterdeck.chat import Heard, IrcTransport, Lost, Refused, Timing
from quarterdeck.core.model.line import Urgency, Utterance

CAPS = "account-notify account-tag batch echo-message labeled-response message-tags sasl=PLAIN server-time"


class Played:
    """The server's side of one connection after another, and the transport under test."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.states: list[str] = []
        self.lines: list[str] = []
        self.caps = CAPS
        self.refused_caps: set[str] = set()
        self.connections = 0
        self.transport: IrcTransport
        self._writer: asyncio.StreamWriter | None = None
        self._arrived = asyncio.Event()
        self._answers: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what every server answers; tests add the rest."""
        self.connections += 1
        self._writer = writer
        try:
            while raw := await reader.readline():
                line = raw.decode().rstrip("\r\n")
                self.answer(line)
                self.lines.append(line)
                self._arrived.set()
        except OSError:
            pass
        finally:
            writer.close()

    def send(self, *lines: str) -> None:
        """Write raw lines."""
        assert self._writer is not None
        for line in lines:
            self._writer.write(line.encode("utf-8", "surrogateescape") + b"\r\n")

    def answer(self, line: str) -> None:
        """Be a server that lets everybody in."""
        word, _, rest = line.partition(" ")
        if line == "CAP LS 302":
            self.send(f":s CAP * LS :{self.caps}")
        elif line.startswith("CAP REQ :"):
            names = line.partition(":")[2]
            no = set(names.split()) & self.refused_caps
            self.send(f":s CAP * {'NAK' if no else 'ACK'} :{names} ")
        elif line == "AUTHENTICATE PLAIN":
            self.send("AUTHENTICATE :+")
        elif word == "AUTHENTICATE":
            self.send(":s 900 qd qd!u@h qd :logged in", ":s 903 qd :ok")
        elif line == "CAP END":
            self.send(":s 001 qd :hi", ":s 005 qd CHANTYPES=# LINELEN=512 :are supported")
        elif word == "JOIN":
            for room in rest.split(","):
                self.send(f":qd!u@h JOIN :{room}")
        elif word == "QUIT":
            self.hang_up()
        elif word == "PART":
            for room in rest.partition(" ")[0].split(","):
                self.send(f":qd!u@h PART {room} :x")

    async def gets(self, line: str, times: int = 1) -> None:
        """Wait until the transport wrote this."""
        try:
            async with asyncio.timeout(5):
                while sum(line in at for at in self.lines) < times:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"{line!r} did not come: {self.lines} {self.states}") from None

    def hang_up(self) -> None:
        """End the connection."""
        assert self._writer is not None
        self._writer.close()

    async def told(self, words: str) -> None:
        """Wait for a state."""
        async with asyncio.timeout(5):
            while not any(words in state for state in self.states):
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def played() -> AsyncIterator[Played]:
    """A server; the test starts the transport with `start`."""
    made = Played()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tasks: list[asyncio.Task[None]] = []

    def start(timing: Timing | None = None, **changes: float) -> IrcTransport:
        made.transport = IrcTransport(
            host="127.0.0.1",
            port=port,
            tls=None,
            nick="qd",
            account="qd",
            password="pw",
            rooms=["#Deploy"],
            on_heard=made.heard.append,
            on_state=made.states.append,
            timing=timing or Timing(retry_login=0.02, rejoin=0.02, first_delay=0.01, longest_delay=0.05),
            **({"burst": 100, "rate": 100} | changes),
        )
        tasks.append(asyncio.create_task(made.transport.run()))
        return made.transport

    made.start = start  # type: ignore[attr-defined]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
    await server.wait_closed()


async def test_we_join_only_when_identified_and_marked_as_a_bot(played: Played) -> None:
    """Login, capabilities, registration, user modes, and then the rooms."""
    played.start()
    await played.told("up as qd in #deploy")
    words = [line.split(":")[0].strip() for line in played.lines]
    assert words[:3] == ["CAP LS 302", "NICK qd", "USER qd 0 *"]
    assert played.lines[3:5] == ["CAP REQ :sasl", "AUTHENTICATE PLAIN"]
    assert played.lines[-3:] == ["CAP END", "MODE qd +BN", "JOIN #deploy"]
    assert played.transport.accounts_shown


async def test_a_refused_capability_costs_only_itself(played: Played) -> None:
    """A server takes all of a request or nothing; then each is asked for alone."""
    played.refused_caps = {"echo-message"}
    played.start()
    await played.told("up as qd")
    assert {"CAP REQ :account-tag", "CAP REQ :echo-message", "CAP REQ :server-time"} <= set(played.lines)
    assert played.transport.accounts_shown


async def test_without_login_we_are_in_no_room_and_ask_again(played: Played) -> None:
    """Services away at the start: registered, outside, and identified on the live connection later."""
    played.refused_caps = {"sasl"}
    played.start()
    await played.gets("CAP REQ :sasl", 3)
    assert not any(line.startswith("JOIN") for line in played.lines)
    assert not played.transport.up
    played.refused_caps = set()
    await played.told("up as qd in #deploy")
    assert played.connections == 1


@pytest.mark.parametrize("line", [":s 901 qd qd!u@h :logged out", ":qd!u@h ACCOUNT *"])
async def test_logged_out_we_leave_hear_nothing_and_log_in_again(played: Played, line: str) -> None:
    """On the same connection: out of the room, SASL, and back."""
    played.start()
    await played.told("up as qd")
    played.refused_caps = {"sasl"}
    played.send(line, "@account=alice :a!u@h PRIVMSG qd :!deploy")
    await played.gets("PART #deploy :not identified")
    await played.gets("CAP REQ :sasl", 2)
    assert not played.transport.up
    assert not played.transport.accounts_shown
    played.refused_caps = set()
    await played.gets("JOIN #deploy", 2)
    assert played.heard == []
    assert played.connections == 1


async def test_account_tags_are_not_believed_after_the_capability_is_gone(played: Played) -> None:
    """CAP DEL takes the accounts away: fail closed."""
    transport = played.start()
    await played.told("up as qd")
    played.send(":s CAP qd DEL :account-tag", "@account=alice :a!u@h PRIVMSG #deploy :x", "PING :done")
    await played.gets("PONG :done")
    assert [heard.account for heard in played.heard] == [None]
    assert not transport.accounts_shown


async def test_c5_a_silent_server_is_asked_and_then_left(played: Played) -> None:
    """Our own PING, then the end; a server that answers is kept."""
    played.start(Timing(ping=0.05, dead=0.2, first_delay=0.01))
    await played.gets("PING :quarterdeck")
    await played.told("no byte from the server for 0.2 s")
    await played.gets("NICK qd", 2)


async def test_c2_the_pause_between_attempts_grows_and_starts_anew_after_a_session(played: Played) -> None:
    """Refused connections wait longer and longer; after having been up it is short again."""
    played.start(Timing(first_delay=0.01, longest_delay=0.04))
    for session in range(1, 4):
        await played.gets("JOIN #deploy", session)
        while not played.transport.up:
            await asyncio.sleep(0.005)
        played.hang_up()
    await played.gets("JOIN #deploy", 4)
    assert played.connections == 4


async def test_odd_lines_from_the_server_end_nothing(played: Played) -> None:
    """Empty ones, missing arguments, bytes that are not UTF-8, and one far too long."""
    played.start()
    await played.told("up as qd")
    for word in ("PRIVMSG", "CAP", "JOIN", "KICK", "NICK", "001", "433", "900", "404", "BATCH", "ACCOUNT", "005"):
        played.send(word, f":s {word}", f":a!u@h {word}", f":a!u@h {word} :")
    played.send("", " ", ":", "@", ":\udcff\udcfe PRIVMSG #deploy :x", "x" * 70_000, ":a!u@h PRIVMSG #deploy :alive")
    async with asyncio.timeout(5):
        while not any(heard.text == "alive" for heard in played.heard):
            await asyncio.sleep(0.005)
    assert played.connections == 1


async def test_without_receipts_a_line_is_said_when_it_is_written(played: Played) -> None:
    """A server with neither echo nor labels."""
    played.caps = "sasl account-tag"
    transport = played.start()
    await asyncio.wait_for(transport.say(Utterance("#deploy", "hello")), 5)
    await played.gets("PRIVMSG #deploy :hello")


async def test_with_echoes_alone_receipts_come_in_order(played: Played) -> None:
    """Without labels the first echo in a room belongs to the first line said there."""
    played.caps = "sasl account-tag echo-message"
    transport = played.start()
    first, second, third = (transport.say(Utterance(to, "x")) for to in ("#deploy", "#deploy", "nobody"))
    await played.gets("PRIVMSG nobody :x")
    await played.gets("PRIVMSG #deploy :x", 2)
    played.send(":qd!u@h PRIVMSG #Deploy :x", "PING :1")
    await played.gets("PONG :1")
    assert (first.done(), second.done(), third.done()) == (True, False, False)
    played.send(":s 404 qd #deploy :Cannot send", ":s 401 qd nobody :No such nick")
    with pytest.raises(Refused, match="Cannot send"):
        await second
    with pytest.raises(Refused, match="No such nick"):
        await third


async def test_a_line_that_is_never_confirmed_is_lost(played: Played) -> None:
    """The connection lives and the echo does not come: after a while nobody can tell."""
    transport = played.start(Timing(confirm=0.05))
    with pytest.raises(Lost, match="confirm"):
        await transport.say(Utterance("#deploy", "hello"))
    waiting = transport.say(Utterance("#deploy", "two"))
    await played.gets("PRIVMSG #deploy :two")
    played.hang_up()
    with pytest.raises(Lost):
        await waiting


async def test_a_verdict_passes_a_long_text(played: Played) -> None:
    """Between two lines of chatter something urgent goes first, the chatter stays in order."""
    played.caps = "sasl account-tag"
    transport = played.start(burst=2, rate=10)  # so slow that the verdict comes while chatter still waits
    chatter = transport.say(Utterance("#deploy", "\n".join(str(n) for n in range(8))))
    await played.gets("PRIVMSG #deploy :1")
    await transport.say(Utterance("#deploy", "VERDICT", urgency=Urgency.VERDICT))
    await chatter
    await played.gets("PRIVMSG #deploy :VERDICT")
    await played.gets("PRIVMSG #deploy :7")
    said = [line.rpartition(":")[2] for line in played.lines if line.startswith("PRIVMSG")]
    assert [text for text in said if text != "VERDICT"] == [str(n) for n in range(8)]
    assert said.index("VERDICT") < 7


async def test_an_error_of_whoever_listens_ends_nothing(played: Played) -> None:
    """A callback that raises is logged; the next line comes."""
    transport = played.start()
    await played.told("up as qd")
    calls: list[Heard] = []

    def broken(heard: Heard) -> None:
        calls.append(heard)
        raise RuntimeError("broken")

    transport._session._on_heard = broken  # type: ignore[union-attr]
    played.send(":a!u@h PRIVMSG qd :one", ":a!u@h PRIVMSG qd :two", "PING :1")
    await played.gets("PONG :1")
    assert [heard.text for heard in calls] == ["one", "two"]


async def test_an_account_is_needed() -> None:
    """A transport without credentials would never be in a room; it is refused at once."""
    with pytest.raises(ValueError, match="identified"):
        IrcTransport(host="h", port=1, tls=None, nick="qd", account="", password="", rooms=[], on_heard=lambda _: None)
