"""Proves the demo's story on real servers: every effect where it is, the lines in their order, the figures at 3x."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox import endpoints
from sandbox.bot.run import Bot
from sandbox.story import figures as story_figures
from sandbox.story.checks import Check, Checks, problems
from sandbox.story.irc_client import IrcClient, Said, parse
from sandbox.story.play import Story
from sandbox.story.screen import Screen
from tests.running import RunningSandbox

#: a busy machine may take so much longer than what is promised
SLACK = 3


@dataclass
class Showing:
    """The story once played, and what was seen after its acts."""

    story: Story
    bot: Bot
    ready: float
    checks: list[Check] = field(default_factory=list)
    added: dict[str, float] = field(default_factory=dict)

    def after(self, act: str) -> None:
        """Look right after a verdict."""
        looks: dict[str, Any] = {
            "production": Checks.after_production,
            "crash": Checks.after_crash,
            "rollback": Checks.after_rollback,
        }
        self.added[act] = story_figures.added(self.story.found, self.story.played[act])
        if act in looks:
            self.checks += looks[act](Checks(self.story))


@pytest.fixture(scope="module")
def showing(sandbox: RunningSandbox) -> Iterator[Showing]:
    """The whole story, played by alice over TLS and SASL."""
    bot = Bot(sandbox.name, sandbox.found)
    try:
        ready = bot.wait_ready()
        found = endpoints.read(sandbox.name)
        assert found is not None
        with IrcClient.of(found, "alice") as alice:
            made = Showing(Story(found, alice), bot, ready)
            made.story.after = made.after
            made.story.play()
            yield made
    finally:
        bot.stop()


@pytest.mark.sandbox
def test_every_effect_is_real(showing: Showing) -> None:
    """Gerrit, registry, cluster, admin log and pages show what the channel says, and alice's name on it."""
    assert len(showing.checks) > 15
    assert problems(showing.checks) == {}


@pytest.mark.sandbox
def test_the_bot_is_quick(showing: Showing) -> None:
    """First lines, announcements and what the bot adds stay within three times the promise."""
    assert showing.ready < 5 * SLACK
    for played in showing.story.played.values():
        assert played.answered < 1 * SLACK, played.command
    for merged in showing.story.merged.values():
        assert merged.delay < 2 * SLACK
    assert {act: seconds for act, seconds in showing.added.items() if seconds > 3 * SLACK} == {}


@pytest.mark.sandbox
def test_the_bot_is_small_and_idle_when_idle(showing: Showing) -> None:
    """It keeps below 150 MB, everything together below 3 GB, and a resting bot takes nearly no processor."""
    mine = story_figures.tree(showing.bot.process.pid)
    servers = story_figures.tree(int(showing.story.found["sandbox"]["pid"]))
    assert story_figures.megabytes(mine) < 150
    assert story_figures.megabytes({*mine, *servers}) < 3 * 1024
    assert story_figures.idle_percent(showing.bot.process.pid) < 3 * SLACK


@pytest.mark.sandbox
def test_a_rollout_is_three_lines_and_a_diff(showing: Showing) -> None:
    """A plain rollout says what it does, its diff and its verdict, in this order; a question comes after the diff."""
    for act, kinds in {
        "staging": ("→", "diff:", " OK "),
        "production": ("→", "diff:", "!confirm ", "goes on", " OK "),
        "crash": ("→", "diff:", "looks bad", "FAILED"),
        "rollback": ("going back", "diff:", " OK "),
    }.items():
        said = [line.text for line in showing.story.played[act].lines]
        assert len(said) == len(kinds), said
        assert all(kind in text for kind, text in zip(kinds, said, strict=True)), said


@pytest.mark.sandbox
def test_no_line_is_cut_or_too_long(showing: Showing) -> None:
    """Every line of a rollout is at most 400 bytes, and its link and commands are whole."""
    for played in showing.story.played.values():
        for line in played.lines:
            assert len(line.text.encode()) <= 400, line.text
            assert re.search(rf"#{played.number} ", line.text), line.text
        assert played.verdict.text.endswith(f"/{played.number}")
    crash = showing.story.played["crash"].verdict.text
    assert "!rollback citoid staging" in crash
    assert showing.story.merged["bad"].short in crash


@pytest.mark.sandbox
def test_after_the_rollback_nothing_is_owed(showing: Showing) -> None:
    """When git is back where the clusters are, no environment is pending and no rollout is open."""
    alice = showing.story.alice
    heard = len(alice.lines) - 1
    alice.say("#deploy", "!status")
    line = alice.wait_for("waiting: ", 15, nick="quarterdeck", after=heard).text
    assert "pending" not in showing.story.played["rollback"].verdict.text
    assert "citoid" not in line, line


def test_lines_of_the_server_are_taken_apart() -> None:
    """Tags, prefix, command and the last parameter with its blanks come apart; what is no line is none."""
    message = parse("@time=x;account=alice :ali!u@h PRIVMSG #deploy :!deploy citoid : now")
    assert message is not None
    assert (message.nick, message.command) == ("ali", "PRIVMSG")
    assert message.parameters == ("#deploy", "!deploy citoid : now")
    assert message.tags == {"time": "x", "account": "alice"}
    assert parse(":irc.test 366 me #d :End") is not None
    assert parse("") is None


def test_spans_that_overlap_count_once() -> None:
    """What CI, host and cluster do at the same time is time that passed once."""
    assert story_figures.length([(0, 2), (1, 3), (5, 6), (5.2, 5.8)]) == 4
    assert story_figures.length([]) == 0


def test_a_file_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the output is no terminal, lines come as they are; what servers say in private is left out."""
    screen = Screen(sys.stdout, pace=0)
    screen.heard(Said(0, 0.0, "#deploy", "quarterdeck", "", "alice: #1 citoid OK " + "x" * 200))
    screen.heard(Said(1, 0.0, "irc.sandbox.test", "irc.sandbox.test", "", "welcome"))
    assert capsys.readouterr().out == f"00:00:00 #deploy <quarterdeck> alice: #1 citoid OK {'x' * 200}\n"
