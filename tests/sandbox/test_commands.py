"""Every command with words that nobody should say: one clear line each, and nothing is done."""

import re
from collections.abc import Iterator

import pytest

from quarterdeck.core.desk.commands import COMMANDS, PLANNED
from sandbox import contents
from sandbox.bot.config import NICK
from sandbox.bot.run import ROOM
from tests.running import RunningSandbox
from tests.sandbox.live import Live, until

pytestmark = pytest.mark.sandbox

VERBS = frozenset(name for command in COMMANDS for name in command.names)
OPTIONS = frozenset({"--pin", "--alone"})
NOT_UTF8 = "\udcff\udcfe\udc80"  # the client sends these as the bytes ff fe 80
LONG = "9" * 380  # with the command about what one line of IRC holds
ODD = (
    f"citoid staging {NOT_UTF8}",
    "citoid staging \x02bold\x0f",
    "citoid staging \x1b[31mred",
    "citoid staging \u202egnigats",
    "citoid staging \N{SUPERSCRIPT TWO}",
    "citoid staging ٤٢",
    "citoid staging 2026-08-06-230932\N{FULLWIDTH DIGIT TWO}",
    '"citoid staging',
    "'citoid' staging",
    "`citoid` staging",
    "citoid staging $(reboot)",
    "citoid staging 2026-08-06-230932;reboot",
    "citoid staging ../../etc/passwd",
    "citoid staging <script>",
    "citoid staging --pin --unpin",
    "citoid staging --pin=1",
    "citoid staging --alone beta",
    "citoid staging --over 1090900",
    "citoid staging --emergency T1",
    "citoid staging --help",
    "citoid staging -n",
    "@nosuch staging",
    "@citoid staging",
    "@shellbox staging --alone",
    "@shellbox nowhere",
    "@ staging",
    "#90 staging",
    "wikifunctions/nosuch staging",
    "wikifunctions/ staging",
    "wikifunctions/orchestrator/x staging",
    "wikifunctions/orchestrator nowhere",
    "citoid,cxserver staging",
    "citoid staging,codfw",
    "citoid canary",
    "citoid beta",
    "citoid staging latest",
    "citoid codefw",
    "citoid stagin",
    "citiod staging",
    "citoid prodution",
    "citoid codefw 2026-08-06-230932",
    "citoid nowhere",
    "nosuch staging",
    "all staging",
    "staging",
    "",
    "--",
    "-- because I say so",
    "citoid staging eqiad codfw",
    "citoid staging 2026-08-06-230932 2026-08-07-230932",
    "citoid staging one two three four five",
    "citoid staging 1999-01-01-000000",
    "citoid " * 40,
    LONG,
    f"citoid staging {LONG[:340]}",
    f"citoid staging -- {'é' * 180}{NOT_UTF8}",
)
NO_ID = (
    "",
    "x",
    "999999",
    "r999999",
    "#999999",
    "0",
    "-1",
    "4.5",
    "##1",
    "#",
    "1;reboot",
    "'1'",
    "1 2 3 4",
    "\N{SUPERSCRIPT TWO}",
    "٤٢",
    "１２",
    "9999999999",
    "citoid",
    "latest",
    "@shellbox",
    "--pin",
    "--emergency T1",
    "\x02 1",
    NOT_UTF8,
    LONG,
)
NO_CODE = (
    "",
    "prod-k7p",
    "PROD-K7P",
    "prod-k7p with",
    "prod-k7p with x",
    "prod-k7p with \N{SUPERSCRIPT TWO}",
    "prod-k7p with ٢",
    "prod-k7p with 999999999",
    "prod-k7p with 1 2",
    "prod-k7p without 1",
    "42",
    "--pin",
    '"prod-k7p"',
    "\x02prod-k7p",
    NOT_UTF8,
    LONG,
)
NO_NAMES = (
    "nosuch",
    "citiod",
    "citoid nosuch",
    "citoid,cxserver",
    "@nosuch",
    "@citoid",
    "wikifunctions/nosuch",
    "#",
    "#999999",
    "٤٢",
    "--pin",
    "latest",
    '"citoid"',
    "\x1b[31mcitoid",
    NOT_UTF8,
    LONG,
)
#: verb -> what is said after it; the answer to each is one refusal
WRONG = {
    **dict.fromkeys(("deploy", "preview", "rollback", "apply"), ODD),
    **dict.fromkeys(("stop", "cancel", "abort", "retry", "diff", "pods"), NO_ID),
    "confirm": NO_CODE,
    "status": (*NO_NAMES, "citoid cxserver"),
    "versions": ("", *NO_NAMES),
}


FOREIGN = (
    "!bash",
    "!log",
    "!log foo bar",
    "!log alice@deploy1003 helmfile START",
    "!log \N{SUPERSCRIPT TWO}",
    "!log ٤٢",
    "!log 1 2 3",
    "!log 1 x",
    "!!",
    "!1",
    "!0",
    "!\N{SUPERSCRIPT TWO}",
    "!٣",
    "!",
    "! ",
    "! 1",
    "!?",
    "!!deploy citoid staging",
    "!karma alice++",
    "!deploying citoid staging",
    "!de ploy citoid staging",
    "!\x02deploy citoid staging",
    f"!{NOT_UTF8}",
    f"!{LONG}",
    f"{NOT_UTF8} !status",
    "deploy citoid staging",
    ".deploy citoid staging",
    "?status",
    "status",
    f"hello {NICK}: status",
    f"{NICK} status",
    f"{NICK}:",
    f"{NICK}: !",
    "somebody: !status",
    "say !status, please",
)
NEAR = {
    "deply": "deploy",
    "depoly": "deploy",
    "deploys": "deploy",
    "aply": "apply",
    "previw": "preview",
    "confrim": "confirm",
    "stopp": "stop",
    "rety": "retry",
    "rolback": "rollback",
    "statsu": "status",
    "version": "versions",
    "dif": "diff",
    "pod": "pods",
    "logs": "log",
    "whoam": "whoami",
    "hlep": "help",
}


def proper(answer: str, line: str) -> None:
    """A line of ours: it fits, shows no innards, and names no verb or option but ours and the person's own."""
    assert len(answer.encode()) <= 420, answer
    assert not re.search(
        r"Traceback|Exception|Error\b|[Ee]rrno|0x[0-9a-f]{6}|\bNone\b|internal error|redacted", answer
    ), answer
    for verb in re.findall(r"(?<![^\s(])!(\w+)", answer):
        assert verb in VERBS or f"!{verb}" in line, answer
    for option in re.findall(r"(?<![\w.-])--?[a-z]+", answer):
        assert option in line or option in OPTIONS, answer


class Channel:
    """Alice in the channel with the bot."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def ask(self, *lines: str, who: str = "alice", room: str = ROOM) -> list[str]:
        """All that the bot says to these lines, said in a row."""
        person = self.live.people[who]
        after = len(person.lines) - 1
        for line in (*lines, f"{NICK}: !whoami the end"):
            person.say(room, line)
        heard = room.lower()
        last = person.wait_for(rf"^{who}: account ", 30, nick=NICK, room=heard, after=after)
        return [x.text for x in person.lines if after < x.number < last.number and (x.nick, x.room) == (NICK, heard)]

    def one_each(self, *lines: str) -> dict[str, str]:
        """The one line that answers each of these."""
        alice, said = self.live.alice, {}
        for line in lines:
            after = len(alice.lines) - 1
            alice.say(ROOM, line)
            said[line] = alice.wait_for(".", 20, nick=NICK, room=ROOM, after=after).text
        assert self.ask() == [], f"more than one line to {lines[-1]!r} or one before"
        return said

    def done(self) -> tuple[str, str]:
        """What would change if anything was done: the list of rollouts, and the tip of the charts."""
        assert self.live.bot is not None
        page = self.live.page("/").partition("\n")[2]
        tip = self.live.gerrit.get(f"projects/{contents.CHARTS_PROJECT.replace('/', '%2F')}/branches/master")
        return page, str(tip["revision"])


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """People and a bot."""
    made = Live(sandbox.name, sandbox.found)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def channel(live: Live) -> Iterator[Channel]:
    """The channel; whatever was said there, nothing was done."""
    made = Channel(live)
    before = made.done()
    yield made
    assert made.done() == before


@pytest.mark.parametrize("verb", WRONG)
def test_wrong_words_get_one_clear_line(channel: Channel, verb: str) -> None:
    """Wrong, missing, too many, too long, no UTF-8, control characters, later forms: one line that says "Nothing done"."""
    for line, answer in channel.one_each(*(f"!{verb} {words}".strip() for words in WRONG[verb])).items():
        proper(answer, line)
        assert re.fullmatch(r"alice: .*Nothing done", answer), f"{line}: {answer}"
        if re.search(r"[\x00-\x1f\udc80-\udcff\u202e]", line):
            assert "control characters or is not UTF-8" in answer


def test_forms_of_later_are_not_yet(channel: Channel) -> None:
    """Some options, batches, lists, canary and beta are known and refused, whatever else is right."""
    later = ("--unpin", "--over 1", "--emergency T1", "#90", "citoid,cxserver", "canary", "beta")
    for line, answer in channel.one_each(*(f"!deploy citoid staging {form}" for form in later)).items():
        assert answer == f"alice: {line.split()[3]}: not yet. Nothing done"


def test_nearly_right_words_get_the_exact_command_back(channel: Channel) -> None:
    """Not usage, but what to type."""
    exact = {
        "!deploy citoid codefw": "!deploy citoid codfw (",
        "!deploy citoid codefw 2026-08-06-230932": "!deploy citoid codfw 2026-08-06-230932 (",
        "!apply citoid stagin": "!apply citoid staging (",
        "!deploy citiod staging": "!deploy citoid staging.",
        "!rollback citiod": "!rollback citoid.",
        "!status citiod": "!status citoid.",
        "!versions cxserver citiod": "!versions cxserver citoid.",
    }
    for line, answer in channel.one_each(*exact).items():
        assert f"Did you mean: {exact[line]}" in answer


def test_a_service_alone_gets_its_versions_and_the_commands(channel: Channel) -> None:
    """`!deploy citoid` never acts."""
    alice = channel.live.alice
    after = len(alice.lines) - 1
    alice.say(ROOM, "!deploy citoid")
    commands = alice.wait_for("Nothing done", 20, nick=NICK, room=ROOM, after=after)
    assert commands.text == "alice: say !deploy citoid staging, or !deploy citoid production. Nothing done"
    assert [x for x in alice.lines if x.nick == NICK][-2].text.startswith("citoid: git")


def test_log_is_ours_with_a_number_or_addressed(channel: Channel) -> None:
    """Other bots' !log meets silence; ours says what is wrong with it."""
    lines = [f"{NICK}: log {words}".strip() for words in NO_ID]
    for line, answer in channel.one_each(*lines, "!log 999999", "!log #999999 5").items():
        proper(answer, line)
        assert re.fullmatch(r"alice: .*Nothing done", answer), f"{line}: {answer}"


def test_whoami_and_help_answer_whatever_follows(channel: Channel) -> None:
    """They cannot be said wrongly enough for more than one line."""
    words = ("", "me", "deploy", "!deploy", "cancel", "depoly", "nosuch", "--pin", "a b c d", "٤٢", "'", LONG)
    for line, answer in channel.one_each(
        *(f"!{verb} {word}".strip() for verb in ("whoami", "help") for word in words)
    ).items():
        proper(answer, line)
        assert answer.startswith(("alice: ", "!")), answer


def test_help_in_private_names_every_command(channel: Channel) -> None:
    """One line each, and nothing that is not there."""
    said = channel.ask("help", room=NICK)
    assert {line[1:].split(":")[0].split()[0] for line in said} >= {command.name for command in COMMANDS}
    for line in said:
        proper(line, "")


@pytest.mark.parametrize("words", ["", "citoid staging", LONG[:300]])
def test_verbs_of_later_are_not_yet(channel: Channel, words: str) -> None:
    """Known, refused in one line."""
    for line, answer in channel.one_each(*(f"!{verb} {words}".strip() for verb in sorted(PLANNED))).items():
        assert answer == f"alice: {line.split()[0]}: not yet. Nothing done"


def test_foreign_words_meet_silence(channel: Channel) -> None:
    """Other bots' commands, Errbot's repetitions, talk, and what a client makes of a line that is too long."""
    split = ("!nosuch " + "x" * 2000, "x" * 300 + " !deploy citoid staging")
    assert channel.ask(*FOREIGN, *split) == []


def test_verbs_at_distance_one_are_asked_back(channel: Channel) -> None:
    """One slip of the finger; two are somebody else's word."""
    for line, answer in channel.one_each(*(f"!{word} citoid staging" for word in NEAR)).items():
        assert answer == f"alice: no command {line.split()[0]}. Did you mean !{NEAR[line.split()[0][1:]]}? Nothing done"
    assert channel.ask("!dplo citoid staging", "!stts", "!rollbaaack", "!hl me") == []


def test_the_addressed_form_works_for_every_verb(channel: Channel) -> None:
    """With colon or comma, any case, with or without the prefix; unknown words get an answer then."""
    for form in (f"{NICK}: ", f"{NICK}, ", f"{NICK.upper()}: !", "!", "! "):
        said = channel.one_each(*(f"{form}{verb} \x02" for verb in ("deploy", "stop", "retry", "status", "confirm")))
        assert all("control characters" in answer for answer in said.values())
    assert channel.one_each(f"{NICK}: Deploy citoid nowhere", "!Deploy citoid nowhere")
    (thanks,) = channel.ask(f"{NICK}: thanks!")
    assert thanks == "alice: I do not know thanks!. Say !help. Nothing done"


def test_private_words_need_no_prefix(channel: Channel) -> None:
    """With it, without it, and addressed."""
    for line in ("status nosuch", "!status nosuch", f"{NICK}: status nosuch", "Status nosuch"):
        (answer,) = channel.ask(line, room=NICK)
        assert answer.startswith("no service nosuch. I know "), answer


def test_orders_of_one_person_are_answered_in_their_order(channel: Channel) -> None:
    """The slow first one is not overtaken by the quick second; what only looks does not wait."""
    slow = ("citoid", "cxserver", "wikifeeds")
    lines = [line for name in slow for line in (f"!deploy {name} staging 1999-01-01-000000", f"!confirm {name}")]
    alice = channel.live.alice
    after = len(alice.lines) - 1
    for line in lines:
        alice.say(ROOM, line)
    until("six answers", lambda: len([x for x in alice.lines if x.nick == NICK and x.number > after]) == 6)
    said = [x.text for x in alice.lines if x.nick == NICK and x.number > after]
    assert ["registry" in text for text in said] == [True, False] * 3, said
