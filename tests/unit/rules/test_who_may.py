"""The rules about who may say a command, and where; a table for each."""

from __future__ import annotations

import pytest

from quarterdeck.chat.irc.transport import IrcTransport
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.network import NetworkWords
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.rules.deployers import MayDeploy
from quarterdeck.core.rules.identified import IsIdentified
from quarterdeck.core.rules.known_person import IsInTheCatalogue
from quarterdeck.core.rules.moments import SaidCommand, Where, Who
from quarterdeck.core.rules.refusals import AccountsNotShown, NotADeployer, NotIdentified, NotSaidHere, UnknownAccount
from quarterdeck.core.rules.rulebook import RULES
from quarterdeck.core.rules.ruling import ALLOW, Refuse, Ruling, judge
from quarterdeck.core.rules.service_rooms import IsSaidInAServiceRoom
from quarterdeck.views.refusals import refusal_line
from tests.worlds.moments import CITOID, NOBODY, NOW, SRE, actor, command

STRANGER = actor(None, None)
LOOKING = {"who": Who.EVERYONE, "where": Where.ANYWHERE}


def refusal(ruling: Ruling) -> Refusal | None:
    """What a rule refuses for; None where it allows."""
    assert ruling is ALLOW or isinstance(ruling, Refuse)
    return ruling.refusal if isinstance(ruling, Refuse) else None


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (command(), None),
        (command(service=None), None),
        (command(STRANGER), NotIdentified("irc")),
        (command(STRANGER, service=None), NotIdentified("irc")),
        (command(actor(None, None, accounts_shown=False)), AccountsNotShown("irc")),
        (command(STRANGER, **LOOKING), None),
    ],
)
def test_who_changes_something_is_identified(said: SaidCommand, refused: Refusal | None) -> None:
    """Without an account nobody changes anything; a network that vouches for nobody is named instead of the person."""
    assert refusal(IsIdentified().on_command(said, NOW)) == refused


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (command(), None),
        (command(actor(None, "mallory")), UnknownAccount("mallory")),
        (command(actor(None, "mallory"), service=None), UnknownAccount("mallory")),
        (command(actor(None, "mallory"), **LOOKING), None),
    ],
)
def test_who_changes_something_is_in_the_catalogue(said: SaidCommand, refused: Refusal | None) -> None:
    """An account that belongs to nobody changes nothing."""
    assert refusal(IsInTheCatalogue().on_command(said, NOW)) == refused


ELSEWHERE, PRIVATE = actor(room="#other"), actor(room="")
NOT_HERE = NotSaidHere("citoid", CITOID.rooms)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (command(), None),
        (command(ELSEWHERE), NOT_HERE),
        (command(PRIVATE), NOT_HERE),
        (command(ELSEWHERE, where=Where.SERVICE_ROOMS_OR_PRIVATE), NOT_HERE),
        (command(PRIVATE, where=Where.SERVICE_ROOMS_OR_PRIVATE), None),
        (command(service=Service("x", "p", "i")), NotSaidHere("x", ())),
        (command(ELSEWHERE, service=None), None),
        (command(ELSEWHERE, **LOOKING), None),
        (command(actor(room="#DEPLOY")), NOT_HERE),
    ],
)
def test_a_service_is_changed_from_its_own_rooms(said: SaidCommand, refused: Refusal | None) -> None:
    """Elsewhere and in private nothing is changed, but for stopping and going back in private."""
    assert refusal(IsSaidInAServiceRoom().on_command(said, NOW)) == refused


RESCUER = actor(SRE, "sre1")
NOT_THE_RESCUERS = NotADeployer("citoid", frozenset({"deployers"}), "sre1", frozenset({"sre"}))
NOBODYS = NotADeployer("citoid", frozenset({"deployers", "sre"}), "carol", frozenset())


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (command(), None),
        (command(RESCUER), NOT_THE_RESCUERS),
        (command(RESCUER, who=Who.DEPLOYERS_AND_RESCUERS), None),
        (command(RESCUER, going_back=True), None),
        (command(actor(NOBODY, "carol"), who=Who.DEPLOYERS_AND_RESCUERS), NOBODYS),
        (command(RESCUER, service=None), None),
        (command(RESCUER, **LOOKING), None),
    ],
)
def test_a_service_is_changed_by_its_deployers(said: SaidCommand, refused: Refusal | None) -> None:
    """Without a group of the service nobody changes it; those on call may go back."""
    assert refusal(MayDeploy().on_command(said, NOW)) == refused


def test_the_first_rule_that_refuses_is_told() -> None:
    """A stranger in the wrong room is told how to be known, not where to go."""
    everything_wrong = command(actor(None, None, "#other"))
    assert judge(everything_wrong, NOW, RULES) == Refuse(NotIdentified("irc"))
    assert judge(command(), NOW, RULES) is ALLOW


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        (
            NotIdentified("irc"),
            "you are not identified to services, so I cannot know you. /msg NickServ IDENTIFY, then say it again",
        ),
        (
            AccountsNotShown("irc"),
            "the network shows no accounts just now (services split?), I can take no commands here",
        ),
        (
            UnknownAccount("mallory"),
            "I do not know the account mallory. Ask whoever keeps the catalogue to add it to the people in my catalogue",
        ),
        (
            NotSaidHere("citoid", (Room("irc", "#deploy"), Room("irc", "#citoid"))),
            "say that in #citoid, #deploy, where citoid is deployed",
        ),
        (NotSaidHere("x", ()), "say that in a room of the service, where x is deployed"),
        (NOT_THE_RESCUERS, "citoid is for deployers; your account sre1 is in sre"),
        (NOBODYS, "citoid is for deployers, sre; your account carol is in no group"),
    ],
)
def test_a_refusal_says_who_may_and_what_to_do(refused: Refusal, line: str) -> None:
    """Each has one line, which ends with what was done."""
    assert refusal_line(refused, {"irc": IrcTransport.words}) == f"{line}. Nothing done"


def test_each_network_says_in_its_own_words_how_to_be_known() -> None:
    """The core knows only that the network does not vouch for somebody."""
    words = NetworkWords("you are a ghost", "Come by yourself", "the bridge is down")
    said = [refusal_line(refused("made-up"), {"made-up": words}) for refused in (NotIdentified, AccountsNotShown)]
    assert said == [
        "you are a ghost. Come by yourself, then say it again. Nothing done",
        "the bridge is down, I can take no commands here. Nothing done",
    ]
    assert "NickServ" not in refusal_line(NotIdentified("made-up"))
