"""The Errbot backend: with two remembered networks in this process, and as a process on a real InspIRCd."""

import asyncio
import logging
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from errbot.bootstrap import setup_bot

from quarterdeck.chat import Heard
from quarterdeck.core.desk.commands import COMMANDS
from tests.bot.doubles import ROOT, AppDouble, MemoryTransport, heard, settings
from tests.servers.irc_server import ACCOUNTS, IrcServer, Person, shared_server, until

SECRET = "hunter2"
ERROR = re.compile(r"internal error [0-9a-f]{6}; nothing more was done by this command")


class Bot:
    """The backend in a thread of this process."""

    def __init__(self, data: Path, **changes: Any) -> None:
        self.irc = MemoryTransport("irc", "qd", ["#deploy", "#ops"])
        self.matrix = MemoryTransport("matrix", "qd_", ["#deploy:example.org"])
        self.app = AppDouble(lambda _: (self.irc, self.matrix))
        config = settings(data, QUARTERDECK_APP=lambda _: self.app, **changes)
        self.backend: Any = setup_bot("Quarterdeck", logging.getLogger("errbot"), config)
        self._thread = threading.Thread(target=self.backend.serve_forever, daemon=True)
        self._thread.start()
        self.wait(self.app._thread.is_alive)

    def wait(self, holds: Callable[[], Any], seconds: float = 5) -> None:
        """Wait for something another thread does."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"did not come true; said {self.irc.said} {self.matrix.said}"
            time.sleep(0.002)

    def answers(self, *lines: Heard) -> list[tuple[str, str]]:
        """Hear these lines and give what was said on IRC up to the answer to a last question."""
        self.irc.said.clear()
        for line in lines:
            self.app.hear(line)
        self.app.hear(heard("!ping the end", room="#ops"))
        self.wait(lambda: ("#ops", "pong the end") in self.irc.said)
        self.wait(lambda: not any(self._busy()))
        return [it for it in self.irc.said if it != ("#ops", "pong the end")]

    def _busy(self) -> Iterator[bool]:
        yield from (bool(job) for job in self.backend.thread_pool._cache)

    def texts(self, *lines: Heard) -> list[str]:
        """The texts of the answers alone."""
        return [text for _, text in self.answers(*lines)]

    def close(self) -> None:
        """End it in order."""
        self.backend.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """One bot for the tests that only talk to it."""
    made = Bot(tmp_path_factory.mktemp("data"))
    yield made
    made.close()


def test_a_stop_never_waits_for_other_commands(bot: Bot) -> None:
    """However many slow looks somebody asks for at once, their threads are not those of a stop."""
    bot.irc.said.clear()
    for _ in range(25):
        bot.app.hear(heard("!slow 1", nick="mallory", account=None))
    began = time.monotonic()
    bot.app.hear(heard("!stop 42", room="#ops"))
    bot.wait(lambda: ("#ops", "stopping 42") in bot.irc.said)
    assert time.monotonic() - began < 0.9
    bot.wait(lambda: bot.irc.said.count(("#deploy", "slept 1")) == 25, 15)


def test_the_plugin_has_the_commands_of_the_table_and_has_them_again_when_it_is_reloaded(tmp_path: Path) -> None:
    """Each verb and alias once, under its own name; an alias asks for its verb."""

    async def answer(verb: str, heard: Heard, text: str) -> list[str]:
        return [f"{verb} of {text}"]

    bot = Bot(tmp_path, BOT_EXTRA_PLUGIN_DIR=str(ROOT / "plugins"))
    bot.app.answer = answer  # type: ignore[attr-defined]
    names = {name for command in COMMANDS for name in command.names}
    try:
        for text, said in (("!deploy citoid", "deploy of citoid"), ("!log 42", "log of 42"), ("!abort 7", "stop of 7")):
            for _ in range(2):
                assert set(bot.backend.commands) == names
                bot.irc.said.clear()
                bot.app.hear(heard(text))
                bot.wait(lambda said=said: bot.irc.said == [("#deploy", said)])
                bot.backend.plugin_manager.reload_plugin_by_name("Deploy")
    finally:
        bot.close()


def test_an_answer_goes_where_the_question_came_from(bot: Bot) -> None:
    """The network is part of every address: rooms, private, and the other network."""
    assert bot.answers(heard("!ping a")) == [("#deploy", "pong a")]
    assert bot.answers(heard("!ping b", room="")) == [("ali", "pong b")]
    bot.app.hear(heard("!ping c", room="#deploy:example.org", network="matrix"))
    bot.wait(lambda: bot.matrix.said == [("#deploy:example.org", "pong c")])


def test_both_forms_count_where_they_should(bot: Bot) -> None:
    """Addressed everywhere; with the prefix in home rooms and in private; in private also bare."""
    for text in ("qd: ping 1", "qd, ping 1", "QD:  ping 1", "qd: !ping 1", "! ping 1", "!ping 1"):
        assert bot.texts(heard(text)) == ["pong 1"], text
    assert bot.texts(heard("qd: ping 1", room="#elsewhere")) == ["pong 1"]
    assert bot.texts(heard("!ping 1", room="#elsewhere")) == []
    assert bot.texts(heard("ping 1", room="")) == ["pong 1"]
    for text in ("ping 1", "qd ping 1", "qd:ping", "qd_: ping 1", "hello qd: ping"):
        assert bot.texts(heard(text)) == [], text


def test_foreign_words_meet_silence(bot: Bot) -> None:
    """Other bots' commands, near misses and thanks are not answered in a room."""
    foreign = ("!bash", "!log alice did it", "!pin", "!pingg", "qd: thanks!", "qd:", "!help", "!deploy x")
    assert bot.texts(*(heard(text) for text in foreign)) == []


def test_k1_bang_zero_from_a_stranger_ends_nothing(bot: Bot) -> None:
    """`!0` without any history is not for Errbot."""
    assert bot.texts(heard("!0", account=None, nick="new", mask="a@b"), heard("!0", room="")) == []


def test_k2_digits_that_are_none_end_nothing(bot: Bot) -> None:
    """`!²` and its kind are not for Errbot, with blanks around them too."""
    odd = ("!²", "! ²", "!²  x", "!٣", "qd: ²", "!", "! ", "!\t", "qd: !", "!①")
    assert bot.texts(*(heard(text, room=room) for text in odd for room in ("#deploy", ""))) == []


def test_even_past_the_filter_an_exception_of_errbot_ends_nothing(bot: Bot) -> None:
    """The dispatcher catches whatever a line makes Errbot raise."""
    assert bot.texts(heard("!ping x", network="nowhere")) == []
    assert bot.texts(heard("!ping y")) == ["pong y"]


def test_k5_rooms_with_other_marks_end_nothing(bot: Bot) -> None:
    """`&local`, `+modeless` and `!safe` are rooms, but no home rooms."""
    for room in ("&loc", "+free", "!12345safe"):
        assert bot.texts(heard("!ping", room=room)) == []
        assert bot.answers(heard("qd: ping", room=room)) == [(room, "pong")]
        assert str(bot.backend.build_identifier(f"irc/{room}")) == f"irc/{room}"


def test_s2_without_the_acl_plugin_no_command_is_there(tmp_path: Path) -> None:
    """Our plugins depend on ACLs, so access rules cannot be left out by accident."""
    bare = Bot(tmp_path, CORE_PLUGINS=("Utils",))
    try:
        assert "ping" not in bare.backend.commands
    finally:
        bare.close()


@pytest.mark.parametrize("command", ["crash", "crash late", "leave"])
def test_s4_an_exception_is_logged_under_an_id_and_never_said(
    bot: Bot, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The room gets one line with the id; the log has the traceback."""
    *before, last = bot.texts(heard(f"!{command}"))
    assert before == (["so far so good"] if command == "crash late" else [])
    assert ERROR.fullmatch(last)
    number = last.split()[2].rstrip(";")
    assert any(number in record.getMessage() and record.exc_info for record in caplog.records)


def test_s4_neither_do_errors_of_parsing_leak_and_meant_ones_are_said(bot: Bot) -> None:
    """What is raised for people reaches them as it stands."""
    assert bot.texts(heard("!parse x")) == ["I cannot read these arguments. Nothing done"]
    assert bot.texts(heard("!refuse")) == ["not today"]


def test_s5_nobody_repeats_a_command_by_a_keystroke(bot: Bot) -> None:
    """`!!`, `!1`, `!0` and `!²` do nothing, though there is a history; it belongs to the account, not the nick."""
    repeats = [heard(text, room=room) for text in ("!!", "!1", "!0", "! !", "!!ping") for room in ("#deploy", "")]
    assert bot.texts(heard("!ping once"), *repeats) == ["pong once"]
    assert bot.backend.cmd_history["irc:alice"]
    assert all(key.startswith(("irc:", "matrix:")) for key in bot.backend.cmd_history)


def test_s6_access_rules_see_the_account_and_the_network(bot: Bot) -> None:
    """Sre1 may under any nick; nobody else may, whatever nick or account on another network."""
    assert bot.texts(heard("!only sre", account="sre1", nick="x")) == ["you may"]
    denied = ["You're not allowed to access this command from this user"]
    assert bot.texts(heard("!only sre", account=None, nick="sre1")) == denied
    assert bot.texts(heard("!only sre", account="bobm")) == ["you may"], "fnmatch: [m] is a set in a *pattern*"
    assert bot.texts(heard("!only sre", account="bob[m]")) == denied
    bot.matrix.said.clear()
    bot.app.hear(heard("!only sre", account="sre1", room="#deploy:example.org", network="matrix"))
    bot.wait(lambda: bot.matrix.said == [("#deploy:example.org", denied[0])])


def test_s7_room_rules_cannot_be_dodged_by_spelling(bot: Bot) -> None:
    """#OPS is #ops to denyrooms."""
    denied = [("#ops", "You're not allowed to access this command from this room")]
    assert bot.answers(heard("!not in ops", room="#ops")) == denied
    assert bot.answers(heard("qd: not in ops", room="#OPS")) == denied
    assert bot.texts(heard("!not in ops")) == ["not ops"]


def test_o4_o6_many_answers_at_once_stay_whole_and_raw(bot: Bot) -> None:
    """No renderer touches a text, from whichever thread: stars, underscores, angles and lines stay."""
    texts = bot.texts(*(heard(f"!many {number}") for number in range(20)))
    want = ["\n".join(f"{n} {k} *it* _is_ <raw> `x`\n" for k in range(5)) for n in range(20)]
    assert sorted(texts) == sorted(want)


def test_c6_a_command_that_waits_for_the_others_holds_no_network_up(bot: Bot) -> None:
    """While Errbot's dispatcher waits for admin_only, the engine goes on and says things."""
    bot.irc.said.clear()
    bot.app.hear(heard("!slow 0.5"))
    bot.app.hear(heard("!admin", account="sre1"))
    bot.app.submit(bot.backend._say(bot.irc, "#deploy", "meanwhile")).result(0.3)
    bot.wait(lambda: len(bot.irc.said) == 3)
    assert [text for _, text in bot.irc.said] == ["meanwhile", "slept 0.5", "done"]


def test_c10_c11_rooms_stay_and_identifiers_are_hashable(bot: Bot) -> None:
    """Leaving a room is a clear error; identifiers of the same thing are equal and hash the same."""
    rooms = bot.backend.rooms
    assert [str(room) for room in rooms] == ["irc/#deploy", "irc/#ops", "matrix/#deploy:example.org"]
    with pytest.raises(Exception, match="set in the configuration"):
        rooms[0].leave()
    build = bot.backend.build_identifier
    assert len({build("irc/#Deploy"), build("irc/#deploy"), build("irc/ali"), build("irc/ali")}) == 2
    message = bot.backend._message(heard("x"), "x")
    assert hash(message.frm) == hash(bot.backend._message(heard("y", room=""), "y").frm)
    for wrong in ("ali", "nowhere/#x", "irc/", ""):
        with pytest.raises(ValueError):
            build(wrong)


def test_who_speaks_is_the_account_or_nobody(bot: Bot) -> None:
    """Plugins get the heard line itself, and a person that no nick can fake."""
    assert bot.texts(heard("!who", nick="x")) == ["irc:alice irc:alice #deploy !who"]
    assert bot.texts(heard("qd: who", account=None, nick="alice")) == ["irc:?u@host anon:irc:u@host #deploy qd: who"]


# As a process of its own, on the real network

CONFIG = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from quarterdeck.chat import IrcTransport, Timing
from tests.bot.doubles import AppDouble, MemoryTransport, settings

globals().update(vars(settings(Path({data!r}))))

def QUARTERDECK_APP(_):
    return AppDouble(lambda on_heard: (
        IrcTransport(
            host="127.0.0.1", port={port}, tls=None, nick="quarterdeck", account="quarterdeck",
            password={password!r}, rooms=["#deploy", "#ops"], on_heard=on_heard, burst=50, rate=50,
            timing=Timing(retry_login=0.2)),
        MemoryTransport("memory", "qd", ["#other"]),
    ))
"""


@dataclass
class Process:
    """The bot as its users start it."""

    server: IrcServer
    popen: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, server: IrcServer, folder: Path) -> "Process":
        """Run `errbot -c config.py`."""
        (folder / "data").mkdir()
        config = folder / "config.py"
        text = textwrap.dedent(CONFIG).format(
            root=str(ROOT),
            data=str(folder / "data"),
            port=server.endpoint.port,
            password=ACCOUNTS["quarterdeck"],
        )
        config.write_text(text)
        log = folder / "log"
        with log.open("wb") as out:
            program = [sys.executable, "-m", "errbot.cli", "-c", str(config)]
            env = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
            popen = subprocess.Popen(program, cwd=folder, stdout=out, stderr=out, env=env)
        return cls(server, popen, log)

    def end(self) -> None:
        """Do not leave it behind."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


@dataclass
class Scene:
    """The process and two people in its room."""

    process: Process
    alice: Person
    mallory: Person

    async def answers(self, person: Person, *lines: str | bytes) -> list[str]:
        """What the bot says in the room to these lines, up to a last question's answer."""
        since = len(self.alice.lines)
        person.send(*lines)
        person.say("#deploy", f"!ping the end {since}")
        await self.alice.sees(rf":quarterdeck!\S+ PRIVMSG #deploy :pong the end {since}$", since=since)
        return [text for text in self.alice.said("quarterdeck", since) if text != f"pong the end {since}"]


async def enter(server: IrcServer, folder: Path) -> Scene:
    """Two people are in the room when the bot comes."""
    alice, mallory = await asyncio.gather(
        Person.arrive(server, "ali2", "#deploy", account="alice"), Person.arrive(server, "mall", "#deploy")
    )
    alice.say("#deploy", "!ping said before the bot came")
    process = Process.start(server, folder)
    try:
        await alice.sees(r":quarterdeck!\S+ JOIN")
    except BaseException:
        process.end()
        print(process.log.read_text()[-3000:])
        raise
    return Scene(process, alice, mallory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """One process for the tests that only talk to it."""
    scene = await enter(shared_server(request.config), tmp_path_factory.mktemp("bot"))
    yield scene
    await asyncio.gather(scene.alice.leave(), scene.mallory.leave())
    scene.process.end()


on_scene = pytest.mark.asyncio(loop_scope="module")


@on_scene
async def test_k1_k2_k3_k4_nothing_that_is_said_ends_the_process(scene: Scene) -> None:
    """The four lines that end Errbot's own backend, and more of their kind, come to nothing."""
    odd = [
        f"PRIVMSG {target} :{text}"
        for text in ("!0", "!²", "! ²", "!", "\x01DCC\x01", "\x01")
        for target in ("#deploy", "quarterdeck")
    ]
    said = await scene.answers(scene.mallory, *odd, "TOPIC #Deploy :x", b"PRIVMSG #deploy :!\xff\xfe", "JOIN &loc")
    assert said == []
    assert scene.process.popen.poll() is None


@on_scene
async def test_k4_s7_a_command_for_the_room_in_capitals_is_answered_in_it(scene: Scene) -> None:
    """#DEPLOY is #deploy."""
    scene.alice.say("#DEPLOY", "!who")
    await scene.alice.sees("PRIVMSG #deploy :irc:alice irc:alice #deploy !who$")


@on_scene
async def test_s3_a_notice_is_not_executed(scene: Scene) -> None:
    """Two bots cannot loop."""
    assert await scene.answers(scene.alice, "NOTICE #deploy :!ping", "NOTICE quarterdeck :!ping") == []


@on_scene
async def test_s4_s5_no_exception_text_and_no_repetition_in_the_room(scene: Scene) -> None:
    """The whole way round: one line with an id, and `!!` does nothing."""
    scene.alice.say("#deploy", "!crash")
    line = await scene.alice.sees("PRIVMSG #deploy :internal error")
    assert ERROR.search(line)
    assert await scene.answers(scene.alice, *(f"PRIVMSG #deploy :{text}" for text in ("!!", "!1", "!0"))) == []
    assert not any(SECRET in line for line in scene.alice.lines)


@on_scene
async def test_o1_o2_o3_o5_o6_answers_arrive_whole_in_order_and_raw(scene: Scene) -> None:
    """600 two-byte characters, and two answers of five lines which do not interleave."""
    since = len(scene.alice.lines)
    scene.alice.say("#deploy", "!long")
    await scene.alice.sees("END$", since=since)
    assert "".join(scene.alice.said("quarterdeck", since)) == "é" * 600 + "END"
    since = len(scene.alice.lines)
    scene.alice.send("PRIVMSG #deploy :!many a", "PRIVMSG #deploy :!many b")
    for name in "ab":
        await scene.alice.sees(rf":{name} 4 ", since=since)
    lines = scene.alice.said("quarterdeck", since)
    want = {name: [f"{name} {k} *it* _is_ <raw> `x`" for k in range(5)] for name in "ab"}
    assert lines in (want["a"] + want["b"], want["b"] + want["a"])


@on_scene
async def test_what_was_said_before_we_came_is_not_executed(scene: Scene) -> None:
    """Channel history is on, and the room's last line was a command."""
    assert not any("said before the bot came" in text for text in scene.alice.said("quarterdeck"))


@on_scene
async def test_a_sigterm_lets_the_last_answer_out_and_then_quits(scene: Scene) -> None:
    """SIGUSR1 does nothing; SIGTERM during a command: its answer, our QUIT, exit status 0."""
    scene.process.popen.send_signal(signal.SIGUSR1)
    assert await scene.answers(scene.alice) == []
    scene.alice.say("#deploy", "!slow 0.5")
    assert len(await scene.answers(scene.alice)) == 0
    scene.process.popen.send_signal(signal.SIGTERM)
    status = await asyncio.to_thread(scene.process.popen.wait, 15)
    await scene.alice.sees(":quarterdeck!.* QUIT :leaving")
    assert scene.alice.said("quarterdeck")[-1] == "slept 0.5"
    assert status == 0
    log = scene.process.log.read_text()
    assert "Computer says" not in log


@on_scene
async def test_c3_a_lost_server_stops_no_plugin_and_the_answer_comes_after(tmp_path: Path) -> None:
    """The server dies under a command: it ends well while we are away, and its answer is said when we are back."""
    server = IrcServer()
    scene = await enter(server, tmp_path)
    process, end_of_command = scene.process, tmp_path / "end-of-command"
    try:
        scene.alice.say("#deploy", f"!until {end_of_command}")
        assert await scene.answers(scene.alice) == []
        server.kill("atheme")  # without services we wait outside of every room
        server.kill("inspircd")
        await until(lambda: "irc: disconnected" in process.log.read_text(), what="the outage noticed")
        server.start_ircd()
        again = await Person.arrive_when_open(server, "bob", "#deploy")
        end_of_command.touch()
        server.start_services()
        await again.sees("PRIVMSG #deploy :until end-of-command")
        assert "probe is deactivated" not in process.log.read_text()
        process.popen.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.popen.wait, 15) == 0
        assert "probe is deactivated" in process.log.read_text()
        await asyncio.gather(scene.alice.leave(), scene.mallory.leave(), again.leave())
    finally:
        process.end()
        server.close()
