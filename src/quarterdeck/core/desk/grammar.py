"""Turns the words of a command into a request, or into the one line to say instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import NotFoundError, NotYetError, RequestError
from quarterdeck.core.model.tag import is_tag
from quarterdeck.core.rollout.intent import Intent, Target

#: longest line of words we look at, in characters; IRC lines are shorter, Matrix messages need not be
LONGEST = 400
NOTHING = "Nothing done"
_IGNORED = frozenset({"to", "on"})
_NAMES_ONLY = frozenset({"status", "versions"})
_LATER = ("--over", "--emergency", "--unpin")
#: option -> the verbs that take it
_OPTIONS = {"--alone": ("deploy", "preview", "rollback"), "--pin": ("deploy", "preview")}
_PARTED = re.compile(r"(?P<service>[a-z0-9][a-z0-9._-]*)/(?P<part>[a-z0-9][a-z0-9._+-]*)")
LATER_VERBS = frozenset(
    [
        "pending",
        "why",
        "restart",
        "skip",
        "note",
        "approve",
        "hold",
        "unhold",
        "veto",
        "unveto",
        "unstick",
        "rebuild",
        "mute",
        "notify",
    ]
)


def words(text: str) -> tuple[str, ...]:
    """Split into words.

    Raises:
        RequestError: the text is too long, or holds control characters or bytes that were no UTF-8.
    """
    if len(text) > LONGEST:
        raise RequestError(f"that line is too long ({len(text)} characters, {LONGEST} are enough). {NOTHING}")
    if any(
        unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or c == "\N{REPLACEMENT CHARACTER}"
        for c in text
    ):
        raise RequestError(f"that line holds control characters or is not UTF-8: type it again. {NOTHING}")
    return tuple(text.split())


def parse_target(
    verb: str, text: str, services: Iterable[str], environments: Iterable[str], groups: Iterable[str] = ()
) -> Intent:
    """Parse `TARGET [ENV] [TAG] [OPTION…] [-- why]`, in any order where the words can be told apart.

    TARGET is SERVICE, SERVICE/PART or @GROUP.

    Raises:
        RequestError: a word is missing, doubled or not understood; the text gives the exact command to type.
    """
    known, every = tuple(services), tuple(groups)
    said, reason = _split_reason(text)
    places = {e.lower(): e for e in environments} | {"production": "production", "prod": "production"}
    target, environment, rest, options = None, "", list[str](), set[str]()
    for word in said:
        low = word.lower()
        if low in _OPTIONS:
            options.add(_allowed(low, verb))
            continue
        _refuse_later(word)
        if low in _IGNORED and not rest:
            continue
        named = target_of(low, known, every) if target is None else None
        if named is not None:
            target = named
        elif not environment and low in places:
            environment = places[low]
        else:
            rest.append(word)
    if target is None:
        raise _no_service(verb, said, rest, known)
    if rest and not environment:
        near = nearest(rest[0], places)
        if near or len(rest) > 1 or not is_tag(rest[0]):
            raise _no_environment(verb, target.title, rest, places, near)
    if len(rest) > 1:
        raise RequestError(
            f"too many words: {clip(' '.join(rest[1:]))}. {usage(verb, target.title, environment)}. {NOTHING}"
        )
    tag = rest[0] if rest else ""
    if tag.lower() == "latest":
        raise RequestError(f"latest is no tag I deploy: say which, or none for the newest. {NOTHING}")
    if tag and not is_tag(tag):
        raise RequestError(f"{clip(tag)} is no image tag. {usage(verb, target.title, environment)}. {NOTHING}")
    return Intent(target, environment, tag, reason, "--alone" in options, "--pin" in options, verb)


def parse_intent(catalogue: Catalogue, verb: str, text: str, environment: str = "") -> Intent:
    """Parse the words of a command that is about an environment.

    Args:
        environment: stands in for a missing one.

    Raises:
        RequestError: see `parse_target`; or no environment was said.
    """
    intent = parse_target(verb, text, catalogue.services, catalogue.environments, catalogue.groups)
    if not intent.environment and environment:
        return replace(intent, environment=environment)
    if not intent.environment:
        which = f"{clip(intent.tag)} is no environment." if intent.tag else "which environment?"
        environments = ", ".join([*catalogue.environments, "production"])
        raise RequestError(f"{which} {usage(verb, intent.title)}, ENV one of {environments}. {NOTHING}")
    return intent


def target_of(word: str, services: Iterable[str], groups: Iterable[str]) -> Target | None:
    """The target that a word in lower case names; None if it is another kind of word.

    Raises:
        NotFoundError: it has the form of a target, and there is no such service or group.
    """
    if word.startswith("@"):
        known = tuple(groups)
        if word[1:] in known:
            return Target(group=word[1:])
        near = nearest(word[1:], known)
        hint = f"Did you mean @{near}?" if near else "Say @ and a group, or the service whose file others share."
        raise NotFoundError(f"no group {clip(word)}. {hint} {NOTHING}")
    match = _PARTED.fullmatch(word)
    if match is None:
        return Target(word) if word in services else None
    if match["service"] not in services:
        near = nearest(match["service"], services)
        hint = f"Did you mean {near}/{match['part']}?" if near else f"I know {', '.join(sorted(services))}."
        raise NotFoundError(f"no service {clip(match['service'])}. {hint} {NOTHING}")
    return Target(match["service"], match["part"])


def parse_number(verb: str, text: str) -> tuple[int, tuple[str, ...]]:
    """Parse `ID [more]` with ID as 42, #42 or r42; returns the number and the words after it.

    Raises:
        RequestError: there is no number.
    """
    said = words(text)
    match = re.fullmatch(r"[#r]?([0-9]{1,9})", said[0]) if said else None
    if match is None:
        shown = f"{clip(said[0])} is no rollout number. " if said else ""
        raise RequestError(f"{shown}Say !{verb} 42 (a rollout's number, see !status). {NOTHING}")
    return int(match.group(1)), said[1:]


def parse_confirm(text: str) -> tuple[str, int]:
    """Parse `CODE [with N]`; the code in lower case, N 0 if none was said."""
    said = words(text)
    match len(said):
        case 1:
            return said[0].lower(), 0
        case 3 if said[1].lower() == "with" and said[2].isascii() and said[2].isdigit() and len(said[2]) < 6:
            return said[0].lower(), int(said[2])
    raise RequestError(f"say !confirm CODE, or !confirm CODE with N, as the question shows it. {NOTHING}")


def parse_names(verb: str, text: str, services: Iterable[str], groups: Iterable[str] = ()) -> tuple[Target, ...]:
    """Parse targets; RequestError names the first that is not known."""
    known, every = tuple(services), tuple(groups)
    said = tuple(word.lower() for word in words(text))
    found = []
    for word in said:
        _refuse_later(word)
        target = target_of(word, known, every)
        if target is None:
            raise _no_service(verb, said, [word], known)
        found.append(target)
    return tuple(found)


def usage(verb: str, service: str = "", environment: str = "") -> str:
    """The exact command to type."""
    after = {"apply": "", "rollback": " [TAG]" if environment else " [ENV] [TAG]"}.get(verb, " [TAG]")
    place = environment or ("" if verb == "rollback" else "ENV")
    if verb in _NAMES_ONLY:
        place = after = ""
    return f"Say !{verb} {service or 'SERVICE'}{place and f' {place}'}{after}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The one known word at edit distance 1 (or with two letters swapped); empty if there is none or several."""
    near = [candidate for candidate in known if _distance(word.lower(), candidate) == 1]
    return near[0] if len(near) == 1 else ""


def clip(text: str, limit: int = 40) -> str:
    """A quotation that cannot fill the line."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _split_reason(text: str) -> tuple[tuple[str, ...], str]:
    said = words(text)
    if "--" in said:
        at = said.index("--")
        return said[:at], " ".join(said[at + 1 :])
    return said, ""


def _refuse_later(word: str) -> None:
    low = word.lower()
    later = low.split("=")[0] in _LATER or low.startswith("#") or "," in low or low in ("canary", "beta")
    if later:
        raise NotYetError(f"{clip(word)}: not yet. {NOTHING}")
    if low.startswith("-"):
        raise RequestError(f"I know no option {clip(word)}. {NOTHING}")


def _allowed(option: str, verb: str) -> str:
    if verb not in _OPTIONS[option]:
        verbs = " and ".join(f"!{name}" for name in _OPTIONS[option])
        raise RequestError(f"{option} is for {verbs}, !{verb} does not know it. {NOTHING}")
    return option


def _no_service(verb: str, said: Sequence[str], rest: Sequence[str], known: Sequence[str]) -> RequestError:
    if not rest:
        return RequestError(f"which service? {usage(verb)}. I know {', '.join(sorted(known))}. {NOTHING}")
    near = nearest(rest[0], known)
    if near:
        meant = " ".join([f"!{verb}", *(near if word == rest[0] else word for word in said)])
        return NotFoundError(f"no service {clip(rest[0])}. Did you mean: {clip(meant, 100)}. {NOTHING}")
    return NotFoundError(f"no service {clip(rest[0])}. I know {', '.join(sorted(known))}. {NOTHING}")


def _no_environment(verb: str, service: str, rest: Sequence[str], places: dict[str, str], near: str) -> RequestError:
    others = sorted(set(places.values()) - {near})
    if near:
        tail = near if verb == "apply" else " ".join([near, *rest[1:]])
        return NotFoundError(
            f'no environment "{clip(rest[0])}" for {service}. Did you mean: !{verb} {service} {tail} '
            f"(also {', '.join(others)}). {NOTHING}"
        )
    return NotFoundError(
        f'no environment "{clip(rest[0])}" for {service}: it has {", ".join(sorted(set(places.values())))}. {NOTHING}'
    )


def _distance(a: str, b: str) -> int:
    """Damerau-Levenshtein distance (neighbours swapped count one)."""
    rows = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        rows[i][0] = i
    for j in range(len(b) + 1):
        rows[0][j] = j
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            cost = a[i - 1] != b[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]
