"""Reads the few Go template expressions that name files, releases and environments; anything else stays unknown.

Nothing is executed: names are put in, `trimSuffix`, `hasSuffix`, `eq` and their like are known, `if` picks a branch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

#: characters of no language, between which the number of an expression stands that was taken out
OPEN, CLOSE = "\ue000", "\ue001"
#: stands for each character of an expression that YAML must not see
MASK = "\ue000"
#: the value of an expression that is not understood
UNKNOWN = "*"
#: words that begin what ends with `end`
OPENERS = frozenset({"if", "range", "with", "define", "block"})
CONTROL = OPENERS | {"else", "end"}
#: an expression that quotes another for a later pass
_QUOTED = re.compile(r"\{\{-?\s*`([^`]*)`\s*-?\}\}")
_HELD = re.compile(f"{OPEN}(\\d+){CLOSE}")
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*"|`[^`]*`|[()|]|[^\s()|]+)')

#: of an expression; None if it is not understood
Value = str | bool | None


@dataclass(frozen=True)
class Names:
    """What expressions may name.

    Attributes:
        state: plain values of the helmfile's own state.
    """

    environment: str = ""
    release: str = ""
    namespace: str = ""
    state: Mapping[str, object] | None = None


def actions(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, words) of each `{{ … }}`, comments among them; one that is never closed ends the search.

    Each character is looked at once: what a pattern would try anew from every brace holds the whole program.
    """
    end = 0
    while (start := text.find("{{", end)) >= 0:
        inner = start + (3 if text.startswith("{{-", start) else 2)
        begin = inner
        while begin < len(text) and text[begin].isspace():
            begin += 1
        if text.startswith("/*", begin):
            begin = text.find("*/", begin + 2)
        close = text.find("}}", begin) if begin >= 0 else -1
        if close < 0:
            return
        end = close + 2
        yield start, end, text[inner:close].removesuffix("-").strip()


def replaced(text: str, new: Callable[[str, str], str]) -> str:
    """The text with each expression replaced by what *new* makes of its whole text and its words."""
    pieces: list[str] = []
    end_of_last = 0
    for start, end, words in actions(text):
        pieces += text[end_of_last:start], new(text[start:end], words)
        end_of_last = end
    return "".join((*pieces, text[end_of_last:]))


def plain(text: str) -> str:
    """The text with expressions that only quote one for a later pass replaced by that one."""
    return _QUOTED.sub(r"\1", text)


def directive(line: str) -> bool:
    """Whether a line holds expressions and blanks only, but for a comment behind them."""
    end_of_last = 0
    for start, end, _ in actions(line):
        if line[end_of_last:start].strip():
            break
        end_of_last = end
    rest = line[end_of_last:].strip()
    return end_of_last > 0 and (not rest or rest.startswith("#"))


def conditions(text: str) -> int:
    """The line of the first condition or loop, 0 if there is none: what stands around it is not always there."""
    for start, _, words in actions(text):
        if words.split(" ", 1)[0] in CONTROL:
            return text.count("\n", 0, start) + 1
    return 0


def masked(text: str) -> str:
    """The text of what is no YAML with its expressions as comments (whole lines) and filler (within a line)."""
    return "\n".join(map(_masked_line, text.split("\n")))


def _masked_line(line: str) -> str:
    if "{{" not in line:
        return line
    body = line.removesuffix("\r")
    if directive(body) and "#" not in body:
        return "#" * len(body) + line[len(body) :]
    return replaced(line, lambda whole, _: MASK * len(whole))


def hold(text: str, held: list[str]) -> str:
    """The text with every expression replaced by a mark that YAML takes for plain characters."""

    def keep(_: str, words: str) -> str:
        held.append(words.replace('\\"', '"'))
        return f"{OPEN}{len(held) - 1}{CLOSE}"

    return replaced(plain(text), keep)


class _Branches:
    """The conditions that are open at a place of a text."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._open: list[tuple[bool, bool]] = []  # (this branch is taken, some branch so far was taken)

    @property
    def taken(self) -> bool:
        """Whether what stands here is part of the text."""
        return all(is_taken for is_taken, _ in self._open)

    def follow(self, words: str) -> bool:
        """Open, turn or close a condition; False if the expression does none of that."""
        head, _, rest = words.partition(" ")
        if head in ("if", "when", "unless"):
            holds = bool(evaluate(rest, self._names)) != (head == "unless")
            self._open.append((holds, holds))
        elif head == "else" and self._open:
            _, some_taken = self._open[-1]
            holds = not some_taken and (not rest.startswith("if ") or bool(evaluate(rest[3:], self._names)))
            self._open[-1] = (holds, some_taken or holds)
        elif head == "end" and self._open:
            self._open.pop()
        else:
            return False
        return True


def fill(text: str, held: Sequence[str], names: Names) -> str:
    """The text with its expressions evaluated; what is not understood becomes `*`.

    Args:
        held: the expressions behind the marks in the text.
    """
    if OPEN not in text:
        return text
    pieces: list[str] = []
    branches = _Branches(names)
    for number, piece in enumerate(_HELD.split(text)):
        if number % 2 == 0:  # what stands between the marks
            if branches.taken:
                pieces.append(piece)
            continue
        words = held[int(piece)]
        if not branches.follow(words) and branches.taken:
            pieces.append(_shown(evaluate(words, names)))
    return "".join(pieces)


def _shown(value: Value) -> str:
    """A value as a template writes it."""
    if value is None:
        return UNKNOWN
    return str(value).lower() if isinstance(value, bool) else value


def mentions(text: str, held: Sequence[str], word: str) -> bool:
    """Whether an expression of the text names something, e.g. `.Environment.Name`."""
    expressions = (held[int(number)] for number in _HELD.findall(text))
    return any(word in words for words in expressions if not words.startswith(("when ", "unless ")))


def sure(text: str, held: Sequence[str], names: Names) -> bool:
    """Whether every condition of the text is understood, and none of it hangs on values that others may set."""
    for number in _HELD.findall(text):
        words = held[int(number)]
        if ".Values" in words or ".StateValues" in words:
            return False
        head, _, condition = words.removeprefix("else ").partition(" ")
        if head in ("if", "when", "unless") and evaluate(condition, names) is None:
            return False
    return True


def evaluate(words: str, names: Names) -> Value:
    """An expression's value, None if it is not understood."""
    tokens = _TOKEN.findall(words)
    try:
        value, rest = _pipeline(tokens, names)
    except (IndexError, RecursionError):
        return None
    return None if rest else value


def _pipeline(tokens: list[str], names: Names) -> tuple[Value, list[str]]:
    value, rest = _command(tokens, names, ())
    while rest and rest[0] == "|":
        value, rest = _command(rest[1:], names, (value,))
    return value, rest


def _command(tokens: list[str], names: Names, piped: tuple[Value, ...]) -> tuple[Value, list[str]]:
    terms: list[Value] = []
    head = tokens[0] if tokens else ""
    rest = tokens
    while rest and rest[0] not in ("|", ")"):
        if rest[0] == "(":
            value, after = _pipeline(rest[1:], names)
            rest = after[1:]
        else:
            value, rest = _term(rest[0], names), rest[1:]
        terms.append(value)
    if head in _FUNCTIONS:
        return _call(head, [*terms[1:], *piped]), rest
    return (terms[0] if len(terms) == 1 and not piped else None), rest


def _term(word: str, names: Names) -> Value:
    if word[:1] in ('"', "`"):
        return word[1:-1].replace('\\"', '"')
    variables: dict[str, Value] = {
        ".Environment.Name": names.environment,
        ".Release.Name": names.release,
        ".Release.Namespace": names.namespace,
        ".Namespace": names.namespace,
        "true": True,
        "false": False,
    }
    word = word.removeprefix("$") if word.startswith("$.") else word
    if word in variables:
        return variables[word]
    parts = word.split(".")
    if parts[:2] in (["", "Values"], ["", "StateValues"]) and len(parts) == 3:
        value = (names.state or {}).get(parts[2])
        return value if isinstance(value, str | bool) else None
    return word if re.fullmatch(r"-?[0-9.]+", word) else None


def _call(name: str, given: list[Value]) -> Value:
    if any(value is None for value in given) and name not in ("default", "not", "or", "and"):
        return None
    try:
        return _FUNCTIONS[name](*given)
    except TypeError:
        return None


def _printf(form: Value, *given: Value) -> Value:
    first, *others = str(form).split("%s")
    if len(others) != len(given):
        return None
    return first + "".join(f"{value}{text}" for value, text in zip(given, others, strict=True))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "trimSuffix": lambda end, text: str(text).removesuffix(str(end)),
    "trimPrefix": lambda start, text: str(text).removeprefix(str(start)),
    "hasSuffix": lambda end, text: str(text).endswith(str(end)),
    "hasPrefix": lambda start, text: str(text).startswith(str(start)),
    "contains": lambda part, text: str(part) in str(text),
    "replace": lambda old, new, text: str(text).replace(str(old), str(new)),
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda first, other: first != other,
    "not": lambda value: not value,
    "or": lambda *values: next((v for v in values if v), values[-1]),
    "and": lambda *values: next((v for v in values if not v), values[-1]),
    "default": lambda other, value=None: value or other,
    "printf": _printf,
    "print": lambda *values: "".join(map(str, values)),
    "lower": lambda text: str(text).lower(),
    "quote": lambda text: text,
    "toYaml": lambda value: value,
    "toString": lambda value: value,
}
