"""What is said to somebody whose request is refused: what, why, what now, and that nothing was done."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.rules.refusals import AccountsNotShown, NotADeployer, NotIdentified, NotSaidHere, UnknownAccount

NOTHING = "Nothing done"


def refusal_line(refusal: Refusal) -> str:
    """The whole line for a refusal."""
    return f"{refusal_sentence(refusal)}. {NOTHING}"


@singledispatch
def refusal_sentence(refusal: Refusal) -> str:
    """What and why, without a full stop. A refusal registers its sentence here."""
    raise NotImplementedError(f"no sentence for {refusal!r}")


@refusal_sentence.register
def _(refusal: AccountsNotShown) -> str:
    return "the network shows no accounts just now (services split?), I can take no commands here"


@refusal_sentence.register
def _(refusal: NotIdentified) -> str:
    return "you are not identified to services, so I cannot know you. /msg NickServ IDENTIFY, then say it again"


@refusal_sentence.register
def _(refusal: UnknownAccount) -> str:
    return (
        f"I do not know the account {refusal.account}. "
        "Ask whoever keeps the catalogue to add it to the people in my catalogue"
    )


@refusal_sentence.register
def _(refusal: NotSaidHere) -> str:
    rooms = _sorted(room.name for room in refusal.rooms) or "a room of the service"
    return f"say that in {rooms}, where {refusal.service} is deployed"


@refusal_sentence.register
def _(refusal: NotADeployer) -> str:
    groups = _sorted(refusal.groups_of_person) or "no group"
    return f"{refusal.service} is for {_sorted(refusal.groups)}; your account {refusal.account} is in {groups}"


def _sorted(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
