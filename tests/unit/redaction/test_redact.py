"""Law 13: no secret leaves, whole or in pieces; what is no secret stays readable."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.redaction.lines import MARK, MAX_HELD
from quarterdeck.core.redaction.redactor import MAX_LINE, Redactor

HELD = "S3cr3t/of+the bot"
REDACTOR = Redactor([HELD], [r"\bcanary-\w+"])
SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: citoid-tls
data:
  tls.crt: Q0VSVA==
  tls.key: |
    TElORTE=
    more: of it
stringData: {"a": "plain9"}
---
apiVersion: v1
kind: ConfigMap
data:
  colour: blue
"""


def cut(text: bytes, sizes: list[int]) -> list[bytes]:
    """The text in pieces of those sizes, and the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


def streamed(redactor: Redactor, pieces: list[bytes]) -> bytes:
    """The output of a stream fed with the pieces."""
    stream = redactor.stream()
    return b"".join(map(stream.feed, pieces)) + stream.flush()


@pytest.mark.parametrize(
    "form",
    [
        HELD,
        quote(HELD, safe=""),
        base64.b64encode(HELD.encode()).decode(),
        base64.b64encode(b"bot:" + HELD.encode()).decode(),
        base64.b64encode(b"b:" + HELD.encode() + b"\n").decode(),
        base64.b64encode(b"12:" + HELD.encode() + b"more text").decode(),
        json.dumps(HELD),
    ],
)
def test_what_the_bot_holds_is_found_in_every_form(form: str) -> None:
    """A credential is taken out as it is, URL-encoded, and in base64 at each alignment."""
    out = REDACTOR.text(f"curl says {form} to you\n")
    assert HELD not in out
    assert MARK in out
    assert out.startswith("curl says ")
    assert len(out) < len(f"curl says {form} to you\n") + len(MARK)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("password: hunter2 and more", "password: [redacted]"),
        ("  db_password: 'hunter2'  # why", "  db_password: [redacted]  # why"),
        ("+     apiKey: hunter2", "+     apiKey: [redacted]"),
        ("- token: hunter2", "- token: [redacted]"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"),
        ("export API_KEY='hun ter2'; x", "export API_KEY=[redacted]; x"),
        ('{"user": "x", "password": "hun\\"ter2", "a": 1}', '{"user": "x", "password": [redacted], "a": 1}'),
        (r"{\"token\":\"hun ter2\",\"a\":1}", r"{\"token\":[redacted],\"a\":1}"),
        ("tool --password hunter2 --verbose", "tool --password [redacted] --verbose"),
        ("tool --client-secret=hunter2 x", "tool --client-secret=[redacted] x"),
        ("helm upgrade --set a.b=hunter2 --set-string 'c=hunter2'", None),
        ("Authorization: Basic aHVudGVyMg==", "Authorization: [redacted]"),
        ("curl -H 'Authorization: Bearer hunter2'", "curl -H 'Authorization: [redacted]'"),
        ("Bearer abcdefgh12345678", "Bearer [redacted]"),
        ("https://bob:hunter2@example.org/x", "https://bob:[redacted]@example.org/x"),
        ("https://bob:hunt@er2@example.org/x", "https://bob:[redacted]@example.org/x"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key [redacted]."),
        ("my canary-hunter2 sings", "my [redacted] sings"),
        ("  10: db.pass=hunter2 (15 bytes)", "  10: db.pass=[redacted] (15 bytes)"),
        ("  10: image.tag=hunter2 (15 bytes)", "  10: image.tag=[redacted] (15 bytes)"),
        ("  3: --password (10 bytes)\n  4: hunter2 (7 bytes)", "  3: --password (10 bytes)\n  4: [redacted] (7 bytes)"),
        ("  4: a=hun\nter2\n (9 bytes)", "  4: a=[redacted]\n[redacted]\n[redacted] (9 bytes)"),
        ("- name: DB_PASSWORD\n  value: hunter2", "- name: DB_PASSWORD\n  value: [redacted]"),
        ('"name": "DB_TOKEN",\n"value": "hunter2"', '"name": "DB_TOKEN",\n"value": [redacted]'),
        ('{"data":{"a":"hunter2"},"kind":"Secret"}', '{"data":[redacted],"kind":"Secret"}'),
        ("password: |\n  hunter2\n\n  hunter2\nafter: 1", "password: |\n  [redacted]\n\n  [redacted]\nafter: 1"),
        ("+   token: >-\n+     hunter2\n    x: 1", "+   token: >-\n+     [redacted]\n    x: 1"),
        ('a_secret: "hun\n  hunter2"\nb: 1', "a_secret: [redacted]\n  [redacted]\nb: 1"),
        ("data:\n  x: |\n    password: |\n      hunter2\n    y: 1\nkind: ConfigMap", None),
        ("['tool', '--password', 'hunter2']", "['tool', '--password', [redacted]]"),
        ("/msg NickServ IDENTIFY alice hunter2", "/msg NickServ IDENTIFY [redacted]"),
        ("db_pass: hunter2", "db_pass: [redacted]"),
        (r"x: {\"kind\":\"Secret\",\"data\":{\"a\":\"hunter2\"}}", None),
    ],
)
def test_listed_patterns(line: str, wanted: str | None) -> None:
    """What stands beside a word for a secret, in YAML, JSON, environment, arguments or headers, is taken out."""
    out = REDACTOR.text(line)
    assert "hunter2" not in out
    assert "ter2" not in out
    assert out == (wanted or out)
    assert REDACTOR.text(out) == out


@pytest.mark.parametrize(
    "line",
    [
        "secretName: citoid-tls",
        "automountServiceAccountToken: false",
        "tokenExpiry: 3600",
        "citoid: image 2026-08-17-094555 ready. 3 commits",
        "basic authentication is on",
        "https://gerrit.example.org/r/c/1089123",
        "UPDATED RELEASES:\nNAME  CHART",
        "data:\n  a: b\nkind: ConfigMap",
        "data:\n  a: b\n",
        "password: |",
        "checksum/secrets: 8d1f",
        "+     checksum/secrets: 8d1f",
        "bypass: this",
        "PWD=/srv",
        "/msg NickServ IDENTIFY, then say it again",
        "  4: upgrade (7 bytes)",
        "- name: COLOUR\n  value: blue",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    """Names of Secrets, flags, tags and plain words stay readable."""
    assert REDACTOR.text(line) == line


def test_secret_objects_are_masked_by_kind() -> None:
    """Keys of a Secret stay, values go; the ConfigMap beside it is untouched."""
    out = REDACTOR.text(SECRET)
    assert out == SECRET.replace("Q0VSVA==", MARK).replace("TElORTE=", MARK).replace("more: of it", MARK).replace(
        '{"a": "plain9"}', MARK
    )


@pytest.mark.parametrize("prefix", ["+ ", "- ", "  "])
def test_secret_objects_inside_a_helm_diff(prefix: str) -> None:
    """The body lines of helm-diff are read behind their sign; its own header names the kind as well."""
    secret, config = ("".join(f"{prefix}{line}\n" for line in part.splitlines()) for part in SECRET.split("---\n"))
    headers = [f"ns, x, {kind} (v1) has changed:\n" for kind in ("Secret", "ConfigMap")]
    out = REDACTOR.text(f"{headers[0]}{secret}\n{headers[1]}{config}")
    for value in ("Q0VSVA==", "TElORTE=", "of it", "plain9"):
        assert value not in out
    assert "tls.key" in out
    assert "colour: blue" in out


def test_a_diff_of_two_sides_masks_both() -> None:
    """Lines of both signs in one Secret are masked, with unchanged lines between them."""
    text = "  kind: Secret\n  data:\n-   a: b2xk\n+   a: bmV3\n    c: c2FtZQ==\n+   d: ZA==\n"
    assert REDACTOR.text(text) == (
        f"  kind: Secret\n  data:\n-   a: {MARK}\n+   a: {MARK}\n    c: {MARK}\n+   d: {MARK}\n"
    )


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_kubectl_puts_data_before_kind(indent: str) -> None:
    """An object whose kind comes after its data is held back until it is known, and masked."""
    lines = ["apiVersion: v1", "data:", "  a: aHVudGVyMg==", "kind: Secret", "metadata:", "  name: x"]
    text = "".join(f"{indent}{line}\n" for line in lines)
    listed = "items:\n" + "".join(f"{'- ' if i == 0 else '  '}{line}\n" for i, line in enumerate(lines)) * 2
    assert "aHVudGVyMg" not in REDACTOR.text(text)
    assert "aHVudGVyMg" not in REDACTOR.text(listed)
    assert REDACTOR.text(text).count("\n") == len(lines)


def test_pretty_json_secrets() -> None:
    """`kubectl get secret -o json` is masked too."""
    text = json.dumps({"items": [{"apiVersion": "v1", "data": {"a": "aHVudGVyMg=="}, "kind": "Secret"}]}, indent=4)
    out = REDACTOR.text(text)
    assert "aHVudGVyMg" not in out
    assert '"a": [redacted]' in out


def test_private_keys() -> None:
    """A private key goes from BEGIN to END, also behind a diff's sign, in one line, or without its END."""
    lines = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEhunter2", "-----END RSA PRIVATE KEY-----"]
    for prefix in ("", "+   ", "2026-01-01 x "):
        out = REDACTOR.text("".join(f"{prefix}{line}\n" for line in lines) + "after\n")
        assert "hunter2" not in out
        assert out.endswith("after\n")
    assert "hunter2" not in REDACTOR.text("\\n".join(lines))
    assert "hunter2" not in REDACTOR.text("\n".join(lines[:2]))


def test_a_private_key_the_bot_holds() -> None:
    """Its lines are found alone too, and holding it does not hide the BEGIN of somebody else's."""
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\nQw==\n-----END OPENSSH PRIVATE KEY-----\n"
    redactor = Redactor([key])
    assert redactor.text("x b3BlbnNzaC1rZXktdjEAAAAABG5vbmU y\n") == "x [redacted] y\n"
    assert "hunter2" not in redactor.text(key.replace("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "hunter2"))


def test_an_endless_line_is_replaced_whole() -> None:
    """What is carried is bounded: a line over the limit is given up, and the next line is seen again."""
    stream = REDACTOR.stream()
    chunk = b"x" * (1 << 16)
    out = b"".join(stream.feed(chunk) for _ in range(40)) + stream.feed(HELD.encode() + b"\nnext\n") + stream.flush()
    assert out == b"[redacted]: a line over 1 MiB\nnext\n"
    assert MAX_LINE == 1 << 20


def test_an_endless_object_counts_as_a_secret() -> None:
    """Data of unknown kind beyond the bound is masked, not let through, and not kept."""
    stream = REDACTOR.stream()
    assert stream.feed(b"data:\n" + b"  k: value9\n" * 10) == b""
    out = stream.feed(b"  k: value9\n" * (MAX_HELD // 12)) + stream.feed(b"  k: value9\nkind: Secret\n")
    assert out
    assert b"value9" not in out + stream.flush()


def test_bytes_that_are_no_text_pass_unchanged() -> None:
    """A log is bytes: what is not UTF-8 comes out as it was."""
    raw = bytes(range(256)).replace(b"\n", b"") + b"\n"
    assert streamed(REDACTOR, [raw]) == raw


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n[]"), max_size=30)
SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n[]", exclude_categories=["Cc", "Cs"]), min_size=4, max_size=24
).filter(lambda s: s not in MARK and s.strip() == s)
LINES = st.lists(
    st.sampled_from(["word", "kind: Secret", "data:", "  a: b", "kind: Pod", "---", "", "x=1"]), max_size=8
)


@settings(deadline=None)  # a busy machine is no failure
@given(SECRETS, WORDS, WORDS, LINES, LINES, st.lists(st.integers(0, 40), max_size=30))
def test_no_planted_secret_survives_any_chunking(
    secret: str, before: str, after: str, head: list[str], tail: list[str], sizes: list[int]
) -> None:
    """However the bytes are cut, secret and base64 are gone, and the result is that of the whole text."""
    encoded = base64.b64encode(secret.encode()).decode()
    marked = f"{before}\x1f{secret}\x1f{encoded}\x1f{after}"
    text = "\n".join([*head, marked, *tail])
    redactor = Redactor([secret])
    out = streamed(redactor, cut(text.encode(), sizes)).decode()
    assert secret not in out.replace(MARK, "\x1f") or secret in "\n".join([*head, before, after, *tail])
    assert f"\x1f{secret}" not in out
    assert encoded not in out
    assert out == redactor.text(text)
    assert redactor.text(out) == out


VALUES = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789", min_size=12, max_size=20).map(lambda v: f"zq{v}")


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b.c", '"q"']), VALUES), min_size=1, max_size=4),
    st.sampled_from(["", "+ ", "- ", "  "]),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 30), max_size=20),
)
def test_no_value_of_a_secret_object_survives_any_chunking(
    values: list[tuple[str, str]], prefix: str, kind_first: bool, block: bool, sizes: list[int]
) -> None:
    """Whatever the order of kind and data, the diff's sign and the chunks: no value comes through."""
    data = ["data:"]
    for key, value in values:
        data += [f"  {key}: |", f"    {value}", f"      x: {value}"] if block else [f"  {key}: {value}"]
    lines = ["apiVersion: v1", "kind: Secret", *data] if kind_first else ["apiVersion: v1", *data, "kind: Secret"]
    text = "words at first\n" + "".join(f"{prefix}{line}\n" for line in [*lines, "metadata:", "  name: x"])
    out = streamed(Redactor(), cut(text.encode(), sizes)).decode()
    assert not [value for _, value in values if value in out]
    assert out == Redactor().text(text)
    assert Redactor().text(out) == out


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=20))
def test_no_argument_of_a_listing_survives_any_chunking(sizes: list[int]) -> None:
    """Helm's values in helmfile's listing go however the listing is cut, also a value of several lines."""
    text = (
        b"ARGS:\n  0: helm (4 bytes)\n  1: --set-string (12 bytes)\n  2: a=zqone (8 bytes)\n"
        b"  3: b=zqtwo\nzqthree\nzqfour (22 bytes)\n  4: --api-token (11 bytes)\n  5: zqfive (6 bytes)\n\nERROR:\n  x\n"
    )
    out = streamed(Redactor(), cut(text, sizes))
    assert b"zq" not in out
    assert out.endswith(b"\n\nERROR:\n  x\n")
    assert b"0: helm (4 bytes)" in out
