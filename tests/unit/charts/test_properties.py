"""Whatever the values file looks like, an edit changes the asked scalars and no other byte, and it can be undone."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.by_key import parse_key
from quarterdeck.core.charts.editing.patch import unified
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, KeyOption
from quarterdeck.core.charts.keys import dotted, undotted
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.release_tags import service_tags
from quarterdeck.core.charts.reading.service_files import read_service
from quarterdeck.core.model.errors import EditRefusedError
from quarterdeck.core.ports.charts import Tree
from tests.worlds.charts_questions import effective, environments, plan, timeout

S = "helmfile.d/services"
D = f"{S}/citoid"
OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
HELMFILE = b"""\
environments:
  staging:
    values:
      - releases: [main]
  eqiad:
    values:
      - releases: [main, canary]
---
templates:
  default: &default
    chart: wmf-stable/citoid
    recreatePods: {{ if x }}true{{ end }}
    values:
      - "values.yaml"
      - "/etc/private/{{ .Environment.Name }}.yaml"
      - "values-{{ .Environment.Name }}.yaml"
      - "values-{{`{{ .Release.Name }}`}}.yaml"
releases:
  - name: main
    <<: *default
  - name: canary
    <<: *default
"""


def tree(values: bytes, **more: bytes) -> Tree:
    """A service's folder."""
    files = {f"{D}/helmfile.yaml": HELMFILE, f"{D}/values.yaml": values}
    files |= {f"{D}/{name.replace('_', '-')}.yaml": raw for name, raw in more.items()}
    return Tree("c0ffee", files, {}, {})


def moved(files: Tree, tag: str = NEW, **more: object) -> BumpOutcome:
    """A bump of citoid."""
    outcome = bump(ParsedFiles(files), BumpRequest(S, "citoid", tag, **more))  # type: ignore[arg-type]
    assert outcome is not None
    return outcome


def after(files: Tree, outcome: BumpOutcome) -> Tree:
    """The tree with an outcome written."""
    contents: dict[str, bytes] = dict(files.files)
    for change in outcome.changes:
        if change.new is None:
            del contents[change.path]
        else:
            contents[change.path] = change.new
    return Tree(files.commit, contents, files.links, files.sharers)


words = st.text("abcdefghijklmnop", min_size=1, max_size=8)
notes = st.sampled_from(["", "  # note", "   # é 🚀 {{ x }}", "\t# tab"])
plain = st.sampled_from(
    ["1", "true", "x y", "~", "'q: #'", '"d\\"q"', "[1, {a: b}]", "{a: [b]}", "a#b", "2026-01-01", "🚀"]
)
tags = st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,20}", fullmatch=True)


@st.composite
def entries(draw: st.DrawFn, depth: int, indent: str) -> list[str]:
    """Lines of a mapping that holds no tag of its own."""
    lines: list[str] = []
    for name in draw(st.lists(words, max_size=3, unique=True)):
        kind = draw(st.integers(0, 4))
        if kind == 0 and depth:
            inner = draw(entries(depth - 1, f"{indent}  "))
            lines += [f"{indent}k{name}:", *(inner or [f"{indent}  a: 1"])]
        elif kind == 1:
            lines += [
                f"{indent}k{name}: |{draw(st.sampled_from(['', '-', '+']))}",
                f"{indent}  version: text",
                f"{indent}  b",
            ]
        elif kind == 2:
            lines += [f"{indent}k{name}:", f"{indent}- version: {draw(plain)}", f"{indent}- 2"]
        elif kind == 3:
            lines += [f"{indent}# version: comment", ""]
        else:
            lines.append(f"{indent}k{name}: {draw(plain)}{draw(notes)}")
    return lines


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A values file with one main tag, `TAG`, and much else."""
    block = draw(st.sampled_from(["main_app", "app", "shellbox", '"main_app"', "'app'"]))
    quote = draw(st.sampled_from(["", "", "'", '"']))
    gap, note = draw(st.sampled_from([" ", "  ", "\t"])), draw(notes)
    leaf = f"version:{gap}{quote}TAG{quote}{note}"
    if draw(st.integers(0, 5)) == 0:
        body = [f"{block}: {{port: 1, version: {quote}TAG{quote}, x: [1]}}{note}"]
    else:
        indent = draw(st.sampled_from(["  ", "    "]))
        inner = [*draw(entries(1, indent)), f"{indent}{leaf}", *draw(entries(1, indent))]
        body = [f"{block}:", *inner]
    top = [*draw(entries(2, "")), *body, *[line.replace("k", "z", 1) for line in draw(entries(1, ""))]]
    if draw(st.booleans()):
        top = ["dup: 1", *top, "dup: 2"]
    text = "\n".join(["---", *top] if draw(st.booleans()) else top)
    text += "" if draw(st.booleans()) else "\n"
    text = text.replace("\n", "\r\n") if draw(st.booleans()) else text
    return f"\ufeff{text}" if draw(st.booleans()) else text


@given(texts(), tags)
@settings(max_examples=150, deadline=None)
def test_an_edit_changes_one_scalar_and_no_other_byte(text: str, tag: str) -> None:
    """The bytes around the tag stay; the way back gives the file back; once more is nothing to change."""
    raw = text.replace("TAG", OLD).encode()
    files = tree(raw)
    outcome = moved(files, tag)
    assert not outcome.obstacles, outcome.obstacles
    (change,) = outcome.changes
    (span,) = change.spans
    assert change.new is not None
    head, tail = raw.split(OLD.encode())
    assert change.new in (head + tag.encode() + tail, head + f'"{tag}"'.encode() + tail)
    assert span.line == raw.split(OLD.encode())[0].count(b"\n") + 1
    assert {row.scalar.tag for row in outcome.after} == {tag}
    written = after(files, outcome)
    again = moved(written, tag)
    assert (again.changes, again.obstacles) == ((), ())
    back = moved(written, OLD)
    if change.new == head + tag.encode() + tail:
        assert after(written, back).files == files.files
    assert {row.scalar.tag for row in back.after} == {OLD}


@given(
    texts(),
    st.sampled_from([None, "resources:\n  x: 1\n", "# only\n", "main_app:\n  port: 1\napp:\n  port: 2\n", "a: 1"]),
)
@settings(max_examples=100, deadline=None)
def test_a_pin_and_its_removal_touch_the_environments_file_only(text: str, own: str | None) -> None:
    """Staging gets a copy and no one else is moved; unpinning gives every byte back, but for a final newline."""
    shared = text.replace("TAG", OLD)
    files = tree(shared.encode(), **({} if own is None else {"values_staging": own.encode()}))
    outcome = moved(files, environments=("staging",), pin=True)
    if outcome.obstacles:
        return
    assert [change.path for change in outcome.changes] == [f"{D}/values-staging.yaml"]
    assert not outcome.side_effects
    assert {(row.release.environment, row.scalar.tag) for row in outcome.after if row.path[-1] == "version"} == {
        ("staging", NEW),
        ("eqiad", OLD),
    }
    pinned = after(files, outcome)
    assert not moved(pinned, environments=("staging",), pin=True).changes
    undone = after(pinned, moved(pinned, OLD, environments=("staging",), unpin=True))
    got = undone.files.get(f"{D}/values-staging.yaml")
    wanted = None if own is None else own.encode()
    assert got == wanted or (own == "a: 1" and got in (b"a: 1\n", b"a: 1\r\n"))
    assert undone.files[f"{D}/values.yaml"] == shared.encode()


@given(st.binary(max_size=200), st.binary(max_size=200), st.booleans())
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_never_raise_anything_but_a_refusal(values: bytes, helmfile: bytes, keep: bool) -> None:
    """Any file, any helmfile: an outcome, or our own error."""
    files = tree(values, values_staging=values[::-1])
    if not keep:
        files = Tree("c", {**files.files, f"{D}/helmfile.yaml": helmfile}, {}, {})
    _everything(files)


yamlish = st.lists(
    st.sampled_from(
        ["main_app:", "\n", "  ", "version: ", "&a ", "*a", "!!str ", "- ", "{", "}", "[", "]", "<<: ", "'", '"', "|", "{{ x }}", "x", "1", "\t", "---", "#", ": ", "image: a:b", "? ", "\r\n", "%TAG ! x", "\u2028", "{{ range }}\n", "{{ end }}\n", "releases:\n", "environments:\n", "name: main", "values:\n"]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@given(yamlish, yamlish)
@settings(max_examples=300, deadline=None)
def test_odd_yaml_never_raises_anything_but_a_refusal(values: str, helmfile: str) -> None:
    """Pieces of YAML and of templates in any order."""
    _everything(tree(values.encode(), values_staging=helmfile.encode()))
    _everything(Tree("c", {f"{D}/helmfile.yaml": helmfile.encode(), f"{D}/values.yaml": values.encode()}, {}, {}))


def _everything(files: Tree) -> None:
    requests: Sequence[Mapping[str, object]] = [
        {},
        {"environments": ("staging",)},
        {"environments": ("staging",), "pin": True},
        {"unpin": True},
        {"releases": ("main",)},
        {"keys": (KeyOption("", ("main_app", "version")),)},
    ]
    for more in requests:
        outcome = bump(ParsedFiles(files), BumpRequest(S, "citoid", NEW, **more))  # type: ignore[arg-type]
        if outcome is None:
            continue
        assert not (outcome.changes and outcome.obstacles)
        unified(outcome.changes)
        for change in outcome.changes:
            yaml.compose_all(change.new or b"", Loader=yaml.CSafeLoader)
    for ask in (lambda: effective(files, D), lambda: plan(files, D, ("staging",), NEW), lambda: environments(files, D)):
        with contextlib.suppress(EditRefusedError):
            ask()
    timeout(files, D)
    parsed = ParsedFiles(files)
    service = read_service(parsed, S, "citoid")
    if service is not None:
        service_tags(parsed, service)


def test_aliases_within_aliases_end() -> None:
    """Merges of themselves, and of each other many times over, are read or refused, in no time."""
    _everything(tree(b"main_app: &a\n  version: x\n  <<: [{<<: *a}]\n"))
    _everything(tree(b"a: &a [*a]\nmain_app: &m\n  version: x\n  self: *m\n"))
    chain = "".join(f"k{n}: &k{n}\n  <<: [*k{n - 1}, *k{n - 1}]\n" for n in range(1, 30))
    _everything(tree(f"k0: &k0\n  version: x\n{chain}main_app:\n  <<: *k29\n".encode()))
    chain = "".join(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]\n" for n in range(1, 30))
    _everything(tree(f"k0: &k0 {{version: x}}\n{chain}main_app:\n  version: y\n".encode()))


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4))
def test_dotted_paths_are_read_back(keys: list[str]) -> None:
    """Dots and backslashes in keys survive."""
    assert undotted(dotted(tuple(keys))) == tuple(keys)


@given(st.text(max_size=30))
def test_any_key_option_can_be_taken_apart(text: str) -> None:
    """Nothing is raised for what a person types."""
    parse_key(text)
