"""Takes secrets out of everything that leaves: texts, and streams of bytes in chunks of any size.

Three nets, in this order: every credential the bot holds, in the forms it may be written in; patterns for secrets of
others; and what needs more than one line (Secret objects by kind, private keys, Helm's `ARGS:` listing, environment
variables of a pod). What none of them can know, such as a password in free prose, passes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from quarterdeck.core.redaction.lines import MARK, Lines

#: bytes of one line that are looked at; a longer line is replaced whole, so that what is carried stays bounded
MAX_LINE = 1 << 20
#: characters; shorter credentials would shred every text, so they are left to the patterns
MIN_SECRET = 4
#: characters; shorter lines of a credential of several lines are not looked for alone
MIN_PIECE = 16

_WORD = r"(?:pass(?:word|wd|phrase)|(?<![a-z])pass|(?<=[_.\-])pwd|secret|token|credentials?|(?:api|access|private|secret|auth)[-_]?key)"
#: a key that names a secret; it ends with the word, so that `secretName:` and `tokenExpiry:` stay readable
KEY = rf"[\w.\-\[\]]*{_WORD}s?(?:[-_]?\d+)?"
_QUOTED = r'"(?:[^"\\\n]|\\[^\n])*"?|\'[^\'\n]*\'?|\\+"(?:(?!\\+")[^\n])*(?:\\+")?'
_PLAIN = r"(?:\[redacted\]|[^\s,;&\"'}\]\\])+"
_KEPT = r"(?!(?:true|false|null|none|yes|no|~|\{\}|\[\]|\"\"|''|[|>][-+\d]*)[,;}\]]?[^\S\n]*(?:$|\n))"

#: name -> (words of which one must be in the lower-cased text, pattern, replacement)
PATTERNS: dict[str, tuple[tuple[str, ...], re.Pattern[str], str]] = {
    "YAML key": (
        ("pass", "pwd", "secret", "token", "credential", "key"),
        re.compile(
            rf"^((?:\x1b\[[\d;]*m)*[+-]?[ \t]*(?:- )*[\"']?{KEY}[\"']?:[^\S\n]+){_KEPT}"
            r"(?![\"'{\[]|\\)(?=\S)[^\n]+",
            re.IGNORECASE | re.MULTILINE,
        ),
        rf"\1{MARK}",
    ),
    "key and value": (
        ("pass", "pwd", "secret", "token", "credential", "key"),
        re.compile(
            rf"(?<![\w.\-\[\]])(?<!checksum/)({KEY}(?:\\*[\"'])?[^\S\n]*(?:=>|[:=])[^\S\n]*){_KEPT}(?:{_QUOTED}|{_PLAIN})",
            re.IGNORECASE | re.MULTILINE,
        ),
        rf"\1{MARK}",
    ),
    "option and value": (
        ("--",),
        re.compile(
            rf"(?<![\w\-])(--?{KEY}(?:[^\S\n]+|[\"'],[^\S\n]*))(?!-|\(\d+ bytes\)){_KEPT}(?:{_QUOTED}|{_PLAIN})",
            re.IGNORECASE,
        ),
        rf"\1{MARK}",
    ),
    "helm --set": (
        ("--set",),
        re.compile(r"(--set(?:-string|-json|-literal|-file)?(?:=|[^\S\n]+)[\"']?[^\s=,\"']+=)(?:\[redacted\]|\S)+"),
        rf"\1{MARK}",
    ),
    "Authorization header": (
        ("authorization",),
        re.compile(
            r"((?:proxy-)?authorization(?:\\*[\"'])?[^\S\n]*[:=][^\S\n]*(?:\\*[\"'])?)[^\"'\\\n]+", re.IGNORECASE
        ),
        rf"\1{MARK}",
    ),
    "NickServ": (("nickserv",), re.compile(r"(nickserv[^\S\n]+identify[^\S\n]+)[^\n]+", re.IGNORECASE), rf"\1{MARK}"),
    "Bearer": (
        ("bearer",),
        re.compile(r"\b(bearer[^\S\n]+)(?=[\w.~+/-]*\d)[\w.~+/=-]{8,}", re.IGNORECASE),
        rf"\1{MARK}",
    ),
    "Basic": (
        ("basic",),
        re.compile(r"\b([Bb]asic[^\S\n]+)(?=[A-Za-z0-9+/]*[0-9A-Z=])[A-Za-z0-9+/]{8,}={0,2}"),
        rf"\1{MARK}",
    ),
    "credentials in a URL": (("://",), re.compile(r"(://[^\s/:@]*:)[^\s/]*@"), rf"\1{MARK}@"),
    "AWS access key": (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MARK),
    "JSON web token": (("eyj",), re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MARK),
    "private key in one line": (
        ("-----begin",),
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^\n]*?-----END [A-Z0-9 ]*PRIVATE KEY-----"),
        MARK,
    ),
    "Secret in one line of JSON": (
        ("secret",),
        re.compile(
            r"(\\*\"(?:data|stringData)\\*\":\s*)\{[^{}\n]*\}(?=[^\n]*\\*\"kind\\*\":\s*\\*\"Secret\\*\")"
            r"|(?<=\"Secret\")([^\n]*?\"(?:data|stringData)\":\s*)\{[^{}\n]*\}"
            r"|(?<=\\\"Secret\\\")([^\n]*?\\\"(?:data|stringData)\\\":\s*)\{[^{}\n]*\}"
        ),
        rf"\1\2\3{MARK}",
    ),
}
#: words that send a block of lines through the slow, line by line, net
_SLOW = ("kind", "secret", "private key", "args:", "data:", 'data":', "name:", 'name":', ": |", ": >", MARK, " bytes)")


def forms(secret: str) -> tuple[str, ...]:
    """The ways one credential may be written: as it is, quoted, URL-encoded, and in base64 at any alignment.

    The base64 forms are those inner characters that depend on the secret alone, so that they are found also inside
    `user:password` of a Basic header or inside a longer encoded text.
    """
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {secret.replace("'", "''"), secret.replace("'", "'\\''"), secret.replace('"', '\\"')}
    raw = secret.encode("utf-8", "surrogateescape")
    found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        first = (shift * 8 + 5) // 6
        last = (shift + len(raw)) * 8 // 6
        core = text[first:last].decode()
        if len(core) >= MIN_SECRET + 2:
            found |= {core, core.replace("+", "-").replace("/", "_")}
    if "\n" in secret:
        # a key's own lines; not its BEGIN, which must stay to be seen in other keys, and no short rest
        pieces = (line.strip() for line in secret.splitlines())
        found |= {piece for piece in pieces if len(piece) >= MIN_PIECE and not piece.startswith("-----")}
    return tuple(f for f in found if len(f) >= MIN_SECRET and "\n" not in f and f not in MARK)


class Redactor:
    """Takes out what the bot holds and what looks like a secret.

    Args:
        secrets: credentials as they are; shorter than `MIN_SECRET` characters are not looked for.
        patterns: further regular expressions; each whole match is taken out. They see one line at a time.

    Raises:
        ValueError: a pattern is no regular expression, or matches the empty text.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        wanted = {form for secret in secrets for form in forms(secret.strip("\r\n"))}
        self._literals = tuple(sorted(wanted, key=lambda form: (-len(form), form)))
        self._extra = tuple(compiled(pattern) for pattern in patterns)

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[redacted]`. Doing it twice changes nothing more."""
        lines = Lines()
        return self._block(text, lines) + lines.flush()

    def stream(self) -> Stream:
        """A stream of its own state, for one log or one connection."""
        return Stream(self)

    def _block(self, block: str, lines: Lines) -> str:
        """Redact whole lines (the last may lack its end)."""
        for literal in self._literals:
            if literal in block:
                block = block.replace(literal, MARK)
        lower = block.lower()
        for words, pattern, replacement in PATTERNS.values():
            if any(word in lower for word in words):
                block = pattern.sub(replacement, block)
        for extra in self._extra:
            parts = block.split("\n")
            block = "\n".join(MARK.join(extra.sub(MARK, p) for p in part.split(MARK)) for part in parts)
        if lines.idle and not any(word in lower for word in _SLOW):
            return block
        return lines.feed(block)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the settings, ready for use.

    Raises:
        ValueError: it is no regular expression, or would match the empty text.
    """
    try:
        ready = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    if ready.search("") or ready.fullmatch(""):
        raise ValueError("matches the empty text")
    return ready


class Stream:
    """Bytes in, redacted bytes out, line by line: what has no line end yet is carried to the next chunk.

    Lines of an object whose kind is not known yet are held back too (bounded); `flush` gives out the rest.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._lines = Lines()
        self._carry = bytearray()
        self._overlong = False

    def feed(self, chunk: bytes) -> bytes:
        """The redacted lines that are complete by now."""
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._keep(chunk)
            return b""
        if self._overlong:  # its beginning was given up before: so is its end
            first = chunk.find(b"\n")
            self._overlong = False
            ready = f"{MARK}: a line over {MAX_LINE >> 20} MiB".encode() + chunk[first:cut]
        else:
            ready = bytes(self._carry) + chunk[:cut]
        self._carry.clear()
        self._keep(chunk[cut:])
        return self._redact(ready)

    def flush(self) -> bytes:
        """What was carried or held back; the stream may be used anew afterwards."""
        ready = f"{MARK}: a line over {MAX_LINE >> 20} MiB".encode() if self._overlong else bytes(self._carry)
        self._carry.clear()
        self._overlong = False
        rest = self._redact(ready) if ready else b""
        return rest + self._lines.flush().encode("utf-8", "surrogateescape")

    def _keep(self, rest: bytes) -> None:
        self._carry += rest
        if len(self._carry) > MAX_LINE or self._overlong:
            self._carry.clear()
            self._overlong = True

    def _redact(self, ready: bytes) -> bytes:
        text = ready.decode("utf-8", "surrogateescape")
        return self._redactor._block(text, self._lines).encode("utf-8", "surrogateescape")
