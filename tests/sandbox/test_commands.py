"""Every command with words that nobody should say: one clear line each, and nothing is done."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from quarterdeck.core.answers import HELP
from quarterdeck.core.grammar import LATER_VERBS
from sandbox.bot import ROOM
from sandbox.botconfig import NICK
from sandbox.ircclient import IrcClient, Said
from tests.running import RunningSandbox
from tests.sandbox.live import Live, until

pytestmark = pytest.mark.sandbox

VERBS = frozenset({*HELP, "cancel", "abort"})
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
    "citoid staging --pin",
    "citoid staging --alone",
    "citoid staging --over 1090900",
    "citoid staging --emergency T1",
    "citoid staging --help",
    "citoid staging -n",
    "@shellbox staging",
    "#90 staging",
    "wikifunctions/orchestrator staging",
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
    "@shellbox",
    "wikifunctions/orchestrator",
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
    "status": NO_NAMES,
    "versions": ("", *NO_NAMES),
}


class Channel:
    """Alice in the channel with the bot, and what was done meanwhile."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def ask(self, *lines: str, who: str = "alice", room: str = ROOM) -> list[str]:
        """All that the bot says to these lines, said in a row; the answer to the last `!whoami` is left out."""
        alice = self.live.people[who]
        after = len(alice.lines) - 1
        for line in lines:
            alice.say(room, line)
        return [x.text for x in self.until_whoami(alice, after, room)]

    def until_whoami(self, person: IrcClient, after: int, room: str) -> list[Said]:
        """What the bot has said by the time it answers this last question."""
        heard = room.lower() if room != NICK else NICK
        person.say(room, "!whoami")
        last = person.wait_for(rf"^{person.nick}: account ", 30, nick=NICK, room=heard, after=after)
        return [x for x in person.lines if after < x.number < last.number and (x.nick, x.room) == (NICK, heard)]

    def one_each(self, *lines: str) -> dict[str, str]:
        """The one line that answers each of these."""
        said = {}
        for line in lines:
            alice = self.live.alice
            after = len(alice.lines) - 1
            alice.say(ROOM, line)
            said[line] = alice.wait_for(".", 20, nick=NICK, room=ROOM, after=after).text
        assert self.ask() == [], "more than one line to one of them"
        return said

    def rollouts(self) -> str:
        """The list of all rollouts."""
        assert self.live.bot is not None
        page = urlopen(Request(self.live.bot.web), timeout=10).read().decode()
        return str(page.partition("\n")[2])
