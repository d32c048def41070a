"""The redactor's memory from line to line: Secret objects by kind, private keys, Helm's `ARGS:`, pods' variables."""

from __future__ import annotations

import re

MARK = "[redacted]"
#: characters of an object held back while its kind is unknown; beyond that it counts as a Secret
MAX_HELD = 256 << 10
#: lines after a BEGIN that count as part of a private key when no END comes
MAX_KEY_LINES = 400

_LINE = re.compile(
    r"""(?P<prefix>(?:\x1b\[[\d;]*m)*[+-]?[ ]*)     # colour, helm-diff's sign, indentation
        (?P<dash>(?:-[ ]+)*)
        (?P<key>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s:#'"{}\[\]](?:[^:\s]|:(?=\S)|[ ](?!\#))*?)
        [ ]*:(?P<value>[ \t]+.*|)(?P<end>\r?)$""",
    re.VERBOSE,
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_HEADER = re.compile(r"^\S.*, Secret \(v1\)")
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")
_SECRETISH = re.compile(
    r"(?:pass(?:word|wd|phrase)|(?<![a-z])pass|(?<=[_.\-])pwd|secret|token|credentials?|(?:api|access|private|secret|auth)[-_]?key)s?(?:[-_]?\d+)?$",
    re.IGNORECASE,
)
_TRIGGER = re.compile(
    r"kind|[dD]ata[\"']?:|:\s+[|>]|\[redacted\]|PRIVATE KEY|name|apiVersion|bytes\)|^\s*\d+: |^---|, Secret |\x1b"
)
_OPEN = re.compile(r"[|>][-+\d]*|\[redacted\]")
_ARG = re.compile(r"^(\s*\d+: )(.*?)( \(\d+ bytes\))?(\r?)$")


class Lines:
    """State over the lines of one text."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._kinds: dict[int, str] = {}  # indentation -> kind of the object whose keys stand there
        self._masking: int | None = None  # indentation of the `data:` we are inside of
        self._column: int | None = None  # where that block's own keys stand
        self._held: list[str] | None = None  # lines since a `data:` of unknown kind
        self._held_size = 0
        self._held_at = 0
        self._key_lines = 0
        self._variable = False
        self._scalar: int | None = None  # indentation of a key for a secret whose value may go on below
        self._argument = ""  # "", "listing", "next" (the last was a flag for a secret), "open" (a value over lines)

    @property
    def idle(self) -> bool:
        """Whether nothing is remembered, so that lines without a trigger need no look."""
        return not self._kinds and not self._inside

    @property
    def _inside(self) -> bool:
        """Whether the next line belongs to something that began before it."""
        begun = self._masking is not None or self._held is not None or self._scalar is not None
        return begun or bool(self._key_lines or self._variable or self._argument)

    def feed(self, block: str) -> str:
        """The block's lines as far as they may go out."""
        lines = block.split("\n")
        out: list[str] = []
        for place, line in enumerate(lines):
            last = place == len(lines) - 1
            if last and not line:
                break
            self._line(line if last else line + "\n", out)
        return "".join(out)

    def flush(self) -> str:
        """The lines held back; nothing is remembered afterwards."""
        out: list[str] = []
        self._release(out, secret=False)
        self._forget()
        return "".join(out)

    def _plain(self, line: str) -> bool:
        """Whether a line says nothing to us and leaves no object: most do, and are not looked at further."""
        if self._inside or _TRIGGER.search(line):
            return False
        return not self._kinds or len(line) - len(line.lstrip("+- ")) > max(self._kinds)

    def _line(self, line: str, out: list[str]) -> None:
        if self._plain(line):
            out.append(line)
            return
        line = self._argument_line(self._private_key(line))
        match = _LINE.match(line.rstrip("\n"))
        line = self._scalar_line(self._pod_variable(line, match), match)
        indent, bare = _indentation(line)
        self._leave(indent, bare, match, out)
        if self._held is not None:
            self._hold(line, match, indent, out)
            return
        if self._masking is not None:
            line = self._masked(line, match, indent)
        elif match and bare:
            self._look(line, match, indent, out)
            if self._held is not None:
                return
            if self._masking is not None:
                line = _without_value(line, match)
        out.append(line)

    def _leave(self, indent: int, bare: str, match: re.Match[str] | None, out: list[str]) -> None:
        """Forget the objects that ended before this line."""
        if not bare or bare.startswith("#"):
            return
        ended = bare.startswith("---") or (indent == 0 and match is None and bare[0] not in "{}[]")
        limit = -1 if ended else indent
        if match and _name(match) == "apiVersion" and match["dash"] + match["prefix"].strip("+ "):
            limit = indent - 1  # a new item of a list
        if self._held is not None and (limit < self._held_at):
            self._release(out, secret=False)
        if self._masking is not None and (ended or indent <= self._masking):
            self._masking = None
        for known in [k for k in self._kinds if k > limit]:
            del self._kinds[known]
        if _HEADER.match(bare) and indent == 0:
            self._kinds[2] = "Secret"  # helm-diff's header; its bodies stand two columns in

    def _look(self, line: str, match: re.Match[str], indent: int, out: list[str]) -> None:
        """Remember a kind; begin to mask or to hold at a `data:`."""
        del out
        name = _name(match)
        if name == "kind":
            self._note_kind(match, indent)
        elif name in ("data", "stringData"):
            kind = self._kinds.get(indent)
            if kind == "Secret":
                self._masking, self._column = indent, None
            elif kind is None:
                self._held, self._held_size, self._held_at = [line], len(line), indent

    def _note_kind(self, match: re.Match[str], indent: int) -> None:
        kind = match["value"].split(" #")[0].strip().strip("\"',")
        signed = match["prefix"].lstrip()[:1] in ("+", "-")
        if not (signed and self._kinds.get(indent) == "Secret"):  # either side of a diff makes it a Secret
            self._kinds[indent] = kind

    def _hold(self, line: str, match: re.Match[str] | None, indent: int, out: list[str]) -> None:
        assert self._held is not None
        self._held.append(line)
        self._held_size += len(line)
        if match and indent == self._held_at and _name(match) == "kind":
            self._note_kind(match, indent)
            self._release(out, secret=self._kinds[indent] == "Secret")
        elif self._held_size > MAX_HELD:
            self._kinds[self._held_at] = "Secret"
            self._release(out, secret=True)

    def _release(self, out: list[str], *, secret: bool) -> None:
        """Give out the held lines, masked if they turned out to be a Secret's."""
        held, self._held = self._held or [], None
        if not secret:
            out += held
            return
        for line in held:
            match = _LINE.match(line.rstrip("\n"))
            indent, bare = _indentation(line)
            if self._masking is not None and bare and indent <= self._masking:
                self._masking = None
            if self._masking is not None:
                out.append(self._masked(line, match, indent))
            elif match and indent == self._held_at and _name(match) in ("data", "stringData"):
                self._masking, self._column = indent, None
                out.append(_without_value(line, match))
            else:
                out.append(line)

    def _masked(self, line: str, match: re.Match[str] | None, indent: int) -> str:
        """A line inside a Secret's data: its key stays, its value and every other line go."""
        if not line.strip():
            return line
        if match and self._column is None:
            self._column = indent
        if match and indent == self._column:
            return _without_value(line, match)
        return _all_masked(line, indent)

    def _private_key(self, line: str) -> str:
        if self._key_lines:
            end = _END.search(line)
            self._key_lines = 0 if end else self._key_lines - 1
            rest = line[end.end() :] if end else line[len(line.rstrip("\r\n")) :]
            return line[: _indentation(line)[0]] + MARK + rest
        begin = _BEGIN.search(line)
        if begin is None:
            return line
        self._key_lines = MAX_KEY_LINES
        return line[: begin.start()] + MARK + line[len(line.rstrip("\r\n")) :]

    def _pod_variable(self, line: str, match: re.Match[str] | None) -> str:
        """Mask `value:` after `- name: DB_PASSWORD` (also in JSON, and with helm-diff's two sides)."""
        if match is None:
            self._variable = False
            return line
        name = _name(match)
        if name == "name":
            self._variable = bool(_SECRETISH.search(match["value"].strip().strip("\"',")))
        elif name == "value" and self._variable:
            return _without_value(line, match)
        else:
            self._variable = False
        return line

    def _scalar_line(self, line: str, match: re.Match[str] | None) -> str:
        """Mask what goes on below a key for a secret: `password: |`, or a quoted text over lines."""
        indent, bare = _indentation(line)
        if self._scalar is not None:
            if not bare:
                return line
            if indent > self._scalar:
                return _all_masked(line, indent)
            self._scalar = None
        if match and _SECRETISH.search(_name(match)) and _OPEN.fullmatch(match["value"].strip()):
            self._scalar = indent
        return line

    def _argument_line(self, line: str) -> str:
        """Mask the values in helmfile's listing of a failed command: `  10: image.tag=x (11 bytes)`."""
        match = _ARG.match(line.rstrip("\n"))
        end = line[len(line.rstrip("\n")) :]
        if self._argument == "open":
            closing = re.search(r" \(\d+ bytes\)$", line.rstrip("\r\n"))
            self._argument = "listing" if closing else "open"
            return MARK + (closing[0] if closing else "") + end
        listed = match and (match[3] or ("=" in match[2] and match[1][0] == " "))
        if match is None or not listed:
            self._argument = ""
            return line
        number, text, size, cr = match.groups()
        key, equals, _ = text.partition("=")
        before, self._argument = self._argument, "listing"
        if before == "next" and not text.startswith("-"):
            return f"{number}{MARK}{size or ''}{cr}{end}"
        if text.startswith("-") and not equals and _SECRETISH.search(text):
            self._argument = "next"
        if not equals or " " in key:
            return line
        if size is None:
            self._argument = "open"
        return f"{number}{key}={MARK}{size or ''}{cr}{end}"


def _indentation(line: str) -> tuple[int, str]:
    """The column of a line's first word, signs and dashes counted as columns, and what stands there."""
    line = _COLOUR.sub("", line)
    bare = line.lstrip("+- \t") if not line.startswith("---") else line
    return len(line) - len(bare.rstrip("\r\n") + line[len(line.rstrip("\r\n")) :]), bare.strip()


def _all_masked(line: str, indent: int) -> str:
    """The line with all but its indentation and its end masked."""
    start = len(line) - len(line.lstrip("+- ")) if line[0] in "+- " else 0
    return line[: min(start, indent)] + MARK + line[len(line.rstrip("\r\n")) :]


def _name(match: re.Match[str]) -> str:
    return match["key"].strip("\"'")


def _without_value(line: str, match: re.Match[str]) -> str:
    """The line with the value after its key masked; block scalar signs and opening brackets stay."""
    value = match["value"].strip()
    if not value or value == "{" or re.fullmatch(r"[|>][-+\d]*", value):
        return line
    colon = match.start("value")
    comma = "," if value.endswith(",") else ""
    return f"{line[:colon]} {MARK}{comma}{match['end']}{line[len(line.rstrip(chr(10))) :]}"
