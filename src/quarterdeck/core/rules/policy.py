"""Who may do what, where, in which order, and when a person is asked first."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import NotAllowedError, NotFoundError, NotYetError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.place import listed, named_services, split, told
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State

NOTHING = "Nothing done"
#: change something; all other verbs only look
MUTATING = frozenset({"deploy", "apply", "confirm", "stop", "cancel", "abort", "rollback", "retry"})
#: going back and stopping are possible in private too
_PRIVATE = frozenset({"stop", "cancel", "abort", "rollback"})
_RESCUERS = frozenset({"sre"})
_LATER = frozenset({"canary", "beta"})
#: 29 letters and digits that nobody mistakes for each other
_LETTERS = "abcdefghjkmnpqrstwxyz23456789"


class Answer(StrEnum):
    """What an answer to an open question is worth."""

    RIGHT = "right"
    NOT_ASKED = "no question is open"
    TOO_LATE = "the question has closed"
    WRONG_CODE = "another code"
    WRONG_COUNT = "another number of surprises"


@dataclass(frozen=True)
class Ask:
    """A question to open.

    Attributes:
        code: what to say, e.g. "prod-k7p".
        count: the N of `with N`; 0 when none is to be said.
        text: what would happen, in half a line.
        surprises: each once, in the order of the environments.
    """

    code: str
    count: int
    text: str
    surprises: tuple[str, ...] = ()

    @property
    def confirm(self) -> str:
        """The exact command that answers yes."""
        return f"!confirm {self.code}" + (f" with {self.count}" if self.count else "")


def authorise(
    actor: Actor,
    service: Service | None,
    verb: str,
    *,
    accounts_shown: bool = True,
    ask_whom: Sequence[str] = (),
    back: bool = False,
) -> None:
    """Pass if that person may say that verb there.

    Args:
        actor: as the transport vouches for him.
        service: what it is about; None for verbs without one.
        verb: without "!".
        accounts_shown: False while the network vouches for nobody (services split).
        ask_whom: who can add people, for the text.
        back: it is about a rollback under way: who may begin one may answer, stop and retry it.

    Raises:
        NotAllowedError: he may not; the text says why and what to do.
    """
    if verb not in MUTATING:
        return
    if actor.account is None:
        if not accounts_shown:
            raise NotAllowedError(
                f"the network shows no accounts just now (services split?), I can take no commands here. {NOTHING}"
            )
        raise NotAllowedError(
            "you are not identified to services, so I cannot know you. /msg NickServ IDENTIFY, then say it "
            f"again. {NOTHING}"
        )
    if actor.person is None:
        whom = " or ".join(ask_whom) or "whoever keeps the catalogue"
        raise NotAllowedError(
            f"I do not know the account {actor.account}. Ask {whom} to add it to the people in my catalogue. {NOTHING}"
        )
    if service is None:
        return
    _check_room(actor, service, verb)
    groups = service.deployers | (_RESCUERS if back or verb == "rollback" else frozenset())
    if not groups & actor.person.groups:
        raise NotAllowedError(
            f"{service.name} is for {_listed(groups)}; your account {actor.account} is in "
            f"{_listed(actor.person.groups) or 'no group'}. {NOTHING}"
        )


def ask(
    *,
    kind: Kind,
    places: Mapping[str, Environment],
    own: str,
    found: Mapping[str, Mapping[str, Any]],
    first: bool,
    digest: str,
) -> Ask | None:
    """The question to ask before anything is applied; None when none is needed.

    Args:
        kind: what the rollout is for.
        places: its targets (`core.places`), each with the environment it is in.
        own: the rollout's own service.
        found: place -> its diff: `changes` (bool), `image_only` (bool), `surprises` (texts), `summary`.
        first: whether this is one of the person's first rollouts.
        digest: stands for the whole plan; the code derives from it.
    """
    changing = [place for place in places if found.get(place, {}).get("changes", True)]
    if not changing:
        return None
    surprises: dict[str, None] = {}
    for place in changing:
        unread = ("the diff could not be read",)
        surprises.update(dict.fromkeys(found.get(place, {}).get("surprises", unread)))
    production = any(places[place].kind is EnvironmentKind.PRODUCTION for place in changing)
    counted = len(surprises) if kind is not Kind.ROLLBACK else 0
    if not (production or first or counted):
        return None
    prefix = where(places.values()) + ("-back" if kind is Kind.ROLLBACK else "")
    text = _text(changing, own, found, len(changing) == len(places))
    return Ask(code(digest, prefix), counted, text, tuple(surprises))


def code(digest: str, prefix: str) -> str:
    """`prefix-k7p`: three characters that stand for the plan, without 0 o 1 l i u v."""
    number = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big")
    letters = ""
    for _ in range(3):
        number, place = divmod(number, len(_LETTERS))
        letters += _LETTERS[place]
    return f"{prefix}-{letters}"


def where(environments: Iterable[Environment]) -> str:
    """What a code begins with: the environment's name, or "prod" for several of production."""
    found = {e.name: e for e in environments}
    if len(found) == 1:
        return next(iter(found))
    return "prod" if all(e.kind is EnvironmentKind.PRODUCTION for e in found.values()) else "all"


def matches(code_given: str, count_given: int, rollout: Rollout, now: datetime | None = None) -> Answer:
    """What an answer is worth for that rollout's open question; case does not matter.

    Args:
        code_given: as typed.
        count_given: the N of `with N`, 0 when it was not said.
        rollout: as last read.
        now: aware UTC; None leaves the deadline to somebody else.
    """
    if rollout.state is not State.WAITING or not rollout.code:
        return Answer.NOT_ASKED
    if code_given.strip().casefold() != rollout.code.casefold():
        return Answer.WRONG_CODE
    if now is not None and rollout.deadline is not None and now >= rollout.deadline:
        return Answer.TOO_LATE
    return Answer.RIGHT if count_given == rollout.code_count else Answer.WRONG_COUNT


def order(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """Staging first, then production, other data centres first and the primary last."""
    return tuple(sorted(environments, key=lambda e: (e.kind is EnvironmentKind.PRODUCTION, e.primary)))


def resolve_environment(
    word: str, known: Iterable[Environment], service: str = "", verb: str = "deploy"
) -> tuple[Environment, ...]:
    """The environments somebody means, in the order they are served.

    Args:
        word: a name, or "production" / "prod" for all of that kind.
        known: the environments the service has.
        service: for the text.
        verb: for the text.

    Raises:
        NotYetError: a form that is planned (canary, beta, @group, #batch, parts, lists).
        NotFoundError: no such environment; names the nearest and the others.
    """
    low = word.casefold()
    if low in _LATER or low.startswith(("@", "#")) or "," in low or "/" in low:
        raise NotYetError(f"{word[:40]}: not yet. {NOTHING}")
    ordered = order(known)
    production = tuple(e for e in ordered if e.kind is EnvironmentKind.PRODUCTION)
    if low in ("production", "prod") and production:
        return production
    for environment in ordered:
        if environment.name.casefold() == low:
            return (environment,)
    names = [e.name for e in ordered] + (["production"] if production else [])
    near = difflib.get_close_matches(low, names, n=1, cutoff=0.7)
    others = ", ".join(name for name in names if name not in near)
    about = f" for {service}" if service else ""
    if near:
        said = " ".join(filter(None, (f"!{verb}", service, near[0])))
        also = f" (also {others})" if others else ""
        raise NotFoundError(f'no environment "{word[:40]}"{about}. Did you mean: {said}{also}. {NOTHING}')
    raise NotFoundError(f'no environment "{word[:40]}"{about}: it has {others or "none"}. {NOTHING}')


def _check_room(actor: Actor, service: Service, verb: str) -> None:
    """Commands that change something are said where the service's people read them."""
    if not actor.room and verb in _PRIVATE:
        return
    if actor.room in service.rooms:
        return
    at = _listed(room.name for room in service.rooms)
    raise NotAllowedError(f"say that in {at or 'a room of the service'}, where {service.name} is deployed. {NOTHING}")


def _text(changing: Sequence[str], own: str, found: Mapping[str, Mapping[str, Any]], all_of_them: bool) -> str:
    """What the diffs say; said once where they say the same."""
    texts = {place: str(found.get(place, {}).get("summary", "the diff could not be read")) for place in changing}
    pods = sum(int(found.get(place, {}).get("pods", 0)) for place in changing)
    restart = f"; {pods} pod{'s' if pods != 1 else ''} restart{'' if pods != 1 else 's'}" if pods else ""
    if len(set(texts.values())) > 1:
        return told(texts, own, " · ") + restart
    services = tuple(dict.fromkeys(split(place, own)[0] for place in changing))
    where = f" of {named_services(services)}" if len(services) > 1 else ""
    if not all_of_them:  # else the line begins with their names
        where = f": {listed(changing, own)}"
    each = f", in each{where}" if len(changing) > 1 else ""
    return f"{texts[changing[0]]}{each}{restart}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
