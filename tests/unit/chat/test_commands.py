"""Which lines are commands for us."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quarterdeck.chat.commands import command_text, said_to
from quarterdeck.chat.contract import Heard
from quarterdeck.core.model.room import Room

HOME = Room("net", "Deploy")
OTHER = Room("net", "deploy")
IN_HOME = Heard("net", HOME, "ali", "alice", "", "", "1", datetime.now(UTC))
ELSEWHERE = replace(IN_HOME, room=OTHER)
IN_PRIVATE = replace(IN_HOME, room=None)


def command(where: Heard, text: str) -> str | None:
    """What a line becomes for a bot called qd that knows `status`."""
    heard = replace(where, text=text, addressed=said_to("qd", text))
    return command_text(heard, (HOME,), "!", ("status",))


@pytest.mark.parametrize("where", [IN_HOME, ELSEWHERE, IN_PRIVATE])
@pytest.mark.parametrize("text", ["qd: status", "qd, status", "QD:  !Status", "  qd: STATUS"])
def test_what_is_said_to_us_by_name_counts_everywhere(where: Heard, text: str) -> None:
    """With or without the prefix, and whatever the case of the name and the verb."""
    assert command(where, text) == "!status"


@pytest.mark.parametrize(("where", "counts"), [(IN_HOME, True), (ELSEWHERE, False), (IN_PRIVATE, True)])
def test_the_bare_prefix_counts_in_home_rooms_and_in_private(where: Heard, counts: bool) -> None:
    """Rooms are compared exactly: whether case matters was the network's business before."""
    assert command(where, "! Status  Citoid ") == ("!status  Citoid" if counts else None)


def test_a_verb_alone_counts_in_private_only() -> None:
    """And only a verb of ours."""
    assert command(IN_PRIVATE, "Status citoid") == "!status citoid"
    assert command(IN_PRIVATE, "hello") is None
    assert command(IN_HOME, "status citoid") is None


@pytest.mark.parametrize("where", [IN_HOME, IN_PRIVATE])
@pytest.mark.parametrize(
    "text", ["", "!", "! ", "!!", "!!status", "!1", "!²", "qd:", "qd: ", "qd: 1", "qd:status", "qd_: x"]
)
def test_what_would_repeat_a_command_or_is_none_comes_to_nothing(where: Heard, text: str) -> None:
    """Errbot would run the last command again, or fail."""
    assert command(where, text) is None
