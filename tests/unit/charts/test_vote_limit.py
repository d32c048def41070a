"""The proof before the vote: image tags in values files pass, and nothing else that an edit could do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.charts.conventions import is_values_file
from quarterdeck.core.charts.vote_limit import prove
from quarterdeck.core.model.errors import EditRefusedError

S = "helmfile.d/services"
D = f"{S}/citoid"
OLD, NEW = "2026-08-06-230932-production", "2026-08-17-094555-production"
DIGEST, OTHER = f"@sha256:{'0' * 64}", f"@sha256:{'a' * 64}"
TEXT = f"""\
# citoid
docker:
  registry: r
main_app:
  image: wikimedia/citoid
  port: 1970 # the usual
  version: {OLD} # keep

mesh:
  image_version: 1.23.10-3
sidecars:
  a:
    image: x/a
    version: "v1"
"""


def refused(old: str | bytes, new: str | bytes, name: str = f"{D}/values.yaml") -> str:
    """The words of a refusal."""
    before, after = (text.encode() if isinstance(text, str) else text for text in (old, new))
    with pytest.raises(EditRefusedError) as caught:
        prove({name: before}, {name: after}, S)
    assert name in str(caught.value)
    return str(caught.value)


def passes(old: str | bytes | None, new: str | bytes, name: str = f"{D}/values.yaml", **more: str) -> None:
    """Nothing is raised."""
    before, after = (text.encode() if isinstance(text, str) else text for text in (old, new))
    others = {f"{D}/{other}.yaml": text.encode() for other, text in more.items()}
    assert after is not None
    prove(others | ({} if before is None else {name: before}), {name: after}, S)


@pytest.mark.parametrize(
    ("what", "into"),
    [
        (OLD, NEW),
        (OLD, f'"{NEW}"'),
        (OLD, f"{NEW}{OTHER}"),
        (OLD, '"1.10"'),
        ('"v1"', '"v2"'),
        ('"v1"', "v2"),
        ('"v1"', "'20260101'"),
    ],
)
def test_a_tag_may_change(what: str, into: str) -> None:
    """The main image's or another's; quoted or not, as long as it is a string."""
    passes(TEXT, TEXT.replace(what, into))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", "no newline: at the end"])
def test_line_ends_and_the_byte_order_mark_stay(end: str, bom: str, last: str) -> None:
    """As they are they pass; changed they do not."""
    old = (bom + TEXT + last).replace("\n", end)
    new = old.replace(OLD, NEW)
    passes(old, new)
    refused(old, new.replace(end, "\n" if end == "\r\n" else "\r\n"))
    refused(old, new.replace(end, "\n" if end == "\r\n" else "\r\n", 1))
    refused(old, new[1:] if bom else f"\ufeff{new}")
    refused(old, new + "\n")


@pytest.mark.parametrize(
    ("what", "into"),
    [
        ("1970", "1971"),  # a port
        ("1.23.10-3", "1.23.10-4"),  # a helper's tag
        ("wikimedia/citoid", "wikimedia/other"),
        ("registry: r", "registry: q"),
        ("# keep", "# kept"),
        ("# keep", ""),
        ("# citoid\n", ""),
        ("# citoid", "#  citoid"),
        ("main_app:\n", "main_app:\n  debug: true\n"),
        ("main_app:\n", "main_app:\n\n"),
        ("main_app:\n", "main_app: \n"),
        ("main_app:\n", "main_app: &main\n"),
        ("main_app:\n", "# version\nmain_app:\n"),
        ("docker:\n  registry: r\n", ""),
        ("  port: 1970 # the usual\n", ""),
        ("registry: r", 'registry: "r"'),
        (
            f"  port: 1970 # the usual\n  version: {OLD} # keep\n",
            f"  version: {OLD} # keep\n  port: 1970 # the usual\n",
        ),
        ("sidecars:", "---\nsidecars:"),
        ("main_app:", "main_ap:"),
        ("  a:\n", "  b:\n"),
    ],
)
def test_nothing_else_may_change(what: str, into: str) -> None:
    """By itself or beside a tag that may."""
    assert what in TEXT
    changed = TEXT.replace(what, into, 1)
    refused(TEXT, changed)
    refused(TEXT, changed.replace(OLD, NEW))


@pytest.mark.parametrize(
    "value",
    ["", "~", "true", "1.10", "2026", "2026-01-01", "[v1]", "{v: 1}", f"!!str {NEW}", f"&a {NEW}", "|\n    v2", "a b",
     "x/y:v2", f'"{NEW} "', f'"\\x76{NEW}"', "-v2", f"{NEW}\n  more: 1", f"{NEW} # other\n  # keep", "{{ .Tag }}", "*v"],
)  # fmt: skip
def test_the_new_tag_is_a_plain_string(value: str) -> None:
    """No number, no truth, nothing that only reads as one, nothing that brings something along."""
    refused(TEXT, TEXT.replace(OLD, value))


@pytest.mark.parametrize("value", ["", "~", "true", "|\n    v2", "a b", "{{ .Tag }}", '"v\\\n    1"'])
def test_what_stood_there_was_a_tag(value: str) -> None:
    """A number may have been one; what is no tag was none."""
    refused(TEXT.replace(OLD, value), TEXT.replace(OLD, NEW))
    passes(TEXT.replace(OLD, "1.10"), TEXT.replace(OLD, NEW))


@pytest.mark.parametrize(
    ("old", "new", "good"),
    [
        (f"main_app:\n  image: r:5000/x/y:{OLD}\n", f"main_app:\n  image: r:5000/x/y:{NEW}\n", True),
        (f"main_app:\n  image: r/x:{OLD}\n", f"main_app:\n  image: r/z:{NEW}\n", False),
        (f"main_app:\n  image: r/x:{OLD}\n", f"main_app:\n  image: r/z:{OLD}\n", False),
        (f"main_app:\n  image: r/x:{OLD}\n", f"main_app:\n  image: {NEW}\n", False),
        (f"main_app:\n  image: r/x:{OLD}\n", "main_app:\n  image: r/x\n", False),
        (f"main_app:\n  image: r/x:v1{DIGEST}\n", f"main_app:\n  image: r/x:v1{OTHER}\n", True),
        (f"main_app:\n  image: r/x{DIGEST}\n", f"main_app:\n  image: r/x{OTHER}\n", True),
        (f"main_app:\n  image: r/x{DIGEST}\n", f"main_app:\n  image: r/y{OTHER}\n", False),
        (f"chart:\n  version: {OLD}\n", f"chart:\n  version: {NEW}\n", False),
        (f"version: {OLD}\n", f"version: {NEW}\n", False),
        (f"config:\n  tag: {OLD}\n", f"config:\n  tag: {NEW}\n", False),
        (f"a:\n  schema_version: {OLD}\n", f"a:\n  schema_version: {NEW}\n", False),
    ],
)
def test_what_is_a_tag_and_of_which_image(old: str, new: str, good: bool) -> None:
    """Of `name:tag` the name stays; a chart's version and what only looks like one is no image's."""
    if good:
        passes(old, new)
    else:
        refused(old, new)


def test_an_anchored_tag_passes_where_it_feeds_tags_only() -> None:
    """A label or a helper's tag would change with it; so would what a merge key brings in."""
    text = f"main_app:\n  image: x/y\n  version: &v {OLD}\nsidecars:\n  b:\n    image: x/y\n    version: *v\n"
    passes(text, text.replace(OLD, NEW))
    refused(text, text.replace(OLD, NEW).replace("&v", "&w").replace("*v", "*w"))
    label = f"{text}label: *v\n"
    refused(label, label.replace(OLD, NEW))
    helper = f"{text}mesh:\n  image_version: *v\n"
    refused(helper, helper.replace(OLD, NEW))
    merged = f"base: &b\n  version: {OLD}\nmain_app:\n  <<: *b\n  image: x/y\n"
    passes(merged, merged.replace(OLD, NEW))
    hidden = f"base: &b\n  version: {OLD}\nmain_app:\n  <<: *b\n  version: v1\n"
    refused(hidden, hidden.replace(OLD, NEW))
    other = f"main_app: &b\n  image: x/y\n  version: {OLD}\nchart:\n  <<: [*b]\n  image: z\nlabels:\n  <<: *b\n"
    passes(other, other.replace(OLD, NEW))
    plain = f"base: &b\n  version: {OLD}\nmain_app:\n  <<: *b\nconfig:\n  <<: *b\n"
    refused(plain, plain.replace(OLD, NEW))


def test_a_key_that_stands_there_twice_is_not_written() -> None:
    """Which of them counts is not for us to say; elsewhere in the file it does not matter."""
    twice = f"main_app:\n  version: v1\n  version: {OLD}\n"
    refused(twice, twice.replace(OLD, NEW))
    assert "twice" in refused(twice.replace("v1", OLD), twice.replace("v1", NEW).replace(OLD, NEW))
    above = f"main_app:\n  port: 1\nmain_app:\n  version: {OLD}\n"
    refused(above, above.replace(OLD, NEW))
    refused(TEXT, f"{TEXT}main_app:\n  version: {NEW}\n")
    passes(f"a: 1\na: 2\n{TEXT}", f"a: 1\na: 2\n{TEXT}".replace(OLD, NEW))


def test_a_copy_may_come_with_its_block() -> None:
    """Into a new file, at the end, into the block, into an empty one, on one line; nothing may come with it."""
    block = f"main_app:\n  version: {NEW}\n"
    passes(None, block)
    passes("", block)
    passes("a: 1\n", f"a: 1\n\n{block}")
    passes("a: 1", f"a: 1\n\n{block}")
    passes("main_app:\n  port: 1\n", f"main_app:\n  version: {NEW}\n  port: 1\n")
    passes("main_app: # of ours\nb: 1\n", f"main_app: # of ours\n  version: {NEW}\nb: 1\n")
    passes("main_app: {}\n", f'main_app: {{version: "{NEW}"}}\n')
    passes("main_app: {verbose: 1}\n", f"main_app: {{version: {NEW}, verbose: 1}}\n")
    passes("a: 1\r\n", f"a: 1\r\n\r\n{block}".replace("\n", "\r\n").replace("\r\r", "\r"))
    for more in ("# note\n", "other: 1\n", "  port: 1\n", "  label: &x v\n", "  debug:\n", "...\n", "---\nb: 1\n"):
        refused("a: 1\n", f"a: 1\n\n{block}{more}")
    refused("# note\na: 1\n", f"# note version\na: 1\n\n{block}")
    refused("# a  b\na: 1\n", f"# a b\na: 1\n\n{block}")
    refused("c:\n  - 1\na: 1\n", f"c:\n   - 1\na: 1\n\n{block}")
    refused("a: 1\n", f"a: 1\n\nmesh:\n  image_version: {NEW}\n")
    refused("a: 1\n", f"a: 1\n\nmain_app: &m\n  version: {NEW}\n")
    refused("a: 1\n", "a: 1\n\nmain_app:\n  version: 1.10\n")


def test_a_copy_of_an_image_string_brings_no_new_image() -> None:
    """Its name stands in the old files already."""
    new = f"main_app:\n  image: r/x:{NEW}\n"
    passes(None, new, f"{D}/values-staging.yaml", values=f"main_app:\n  image: r/x:{OLD}\n")
    with pytest.raises(EditRefusedError, match="another image"):
        passes(None, new, f"{D}/values-staging.yaml", values=f"main_app:\n  image: r/y:{OLD}\n", broken="a: [")


def test_a_copy_may_go_with_its_line() -> None:
    """And with the block that held nothing else."""
    passes(f"a: 1\n\nmain_app:\n  version: {OLD} # ahead\n", "a: 1\n")
    passes(f"main_app:\n  version: {OLD}\n  port: 1\n", "main_app:\n  port: 1\n")
    refused(f"main_app:\n  version: {OLD}\n  port: 1\n", "")
    refused(f"main_app:\n  # why\n  version: {OLD}\n  port: 1\n", "main_app:\n  port: 1\n")
    refused("mesh:\n  image_version: v1\na: 1\n", "a: 1\n")
    refused(f"a: 1\nmain_app: &m\n  version: {OLD}\n", "a: 1\n")


@pytest.mark.parametrize(
    "path",
    [f"{D}/helmfile.yaml", f"{D}/helmfile.yaml.gotmpl", f"{D}/.fixtures.yaml", f"{D}/Chart.yaml", f"{D}/values.json",
     f"{D}/requirements.yaml", f"{D}/templates/values.yaml", f"{D}/.fixtures/values.yaml", f"{D}/charts/x/values.yaml",
     f"{S}/global.yaml", f"{S}/../x/values.yaml", f"{S}//values.yaml", "charts/citoid/values.yaml", "values.yaml",
     f"{S}-more/citoid/values.yaml", f"{D}/_helpers.tpl", f"{D}/values.yaml~", f"{D}/fixtures/values.yaml"],
)  # fmt: skip
def test_only_values_files_of_services(path: str) -> None:
    """By its place and by its name."""
    assert "no values file" in refused(TEXT, TEXT.replace(OLD, NEW), path)


def test_values_files_have_many_names() -> None:
    """Also in folders that services share."""
    for path in (f"{S}/_common_/global.yaml", f"{S}/staging/citoid/values.yaml", f"{D}/values/main.yml",
                 f"{D}/values-main.yaml.gotmpl"):  # fmt: skip
        assert is_values_file(path)
        passes(TEXT, TEXT.replace(OLD, NEW), path)


def test_what_cannot_be_read_is_not_written() -> None:
    """No YAML, no UTF-8, too deep, too many aliases."""
    for bad in ("a: [", "a: &a [*a, {<<: *b}]", "\tx: 1", "x: " + "[" * 200 + "]" * 200, "a\0: 1"):
        refused(f"{TEXT}{bad}", f"{TEXT}{bad}".replace(OLD, NEW))
    refused(TEXT.encode() + b"x: \xff\n", TEXT.replace(OLD, NEW).encode() + b"x: \xff\n")
    bomb = "a: &a [1, 1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh"))  # noqa: B905
    refused(TEXT + bomb, (TEXT + bomb).replace(OLD, NEW))
    merges = "a: &a {x: 1}\n" + "".join(f"{b}: &{b} {{<<: [*{a}, *{a}]}}\n" for a, b in zip("abcdefg", "bcdefgh"))  # noqa: B905
    passes(TEXT + merges, (TEXT + merges).replace(OLD, NEW))
    passes(f"{TEXT}loop: &l\n  again: *l\n  <<: *l\n", f"{TEXT}loop: &l\n  again: *l\n  <<: *l\n".replace(OLD, NEW))


def test_templates_and_further_documents_stay() -> None:
    """A value that is a template may not change either; what is no YAML as it stands gets no vote."""
    text = f"label: {{{{ .y }}}}\n{TEXT}---\nmore: 1\n"
    passes(text, text.replace(OLD, NEW))
    refused(text, text.replace(OLD, NEW).replace(".y", ".z"))
    refused(text, text.replace(OLD, NEW).replace("more: 1", "more: 2"))
    control = f"{{{{- if .x }}}}\n{text}{{{{- end }}}}\n"
    assert "no plain YAML" in refused(control, control.replace(OLD, NEW))


def test_braces_in_strings_hide_nothing() -> None:
    """What stands between two strings with braces is read as it is: here the version is but a text's part."""
    text = f"a: '{{{{'\nb: \"}}}}'\nmain_app:\n  image: w/x\n  version: {OLD}\n# \"\n"
    refused(text, text.replace(OLD, NEW))


def test_a_tag_in_a_later_document_gets_no_vote() -> None:
    """Helm reads the first one only."""
    for text in (f"---\n# c\n---\n{TEXT}", f"a: 1\n---\n{TEXT}"):
        assert "first document" in refused(text, text.replace(OLD, NEW))


@given(
    at=st.integers(0, len(TEXT) - 1),
    char=st.sampled_from(list("ab01: #-\n\"'{}[]&*!|>,\t\ré\x85")),
    cut=st.integers(0, 3),
)
def test_any_other_stroke_of_the_pen_is_refused(at: int, char: str, cut: int) -> None:
    """Wherever something is put in or taken out: it passes only if nothing but a tag's line is another, and that tag."""
    new = TEXT[:at] + char + TEXT[at + cut :]
    if new == TEXT:
        return
    try:
        passes(TEXT, new)
    except EditRefusedError:
        return
    pattern = (
        re.escape(TEXT).replace(re.escape(OLD), r"[\w.-]+").replace(re.escape('"v1"'), r"(?P<q>[\"']?)[\w.-]+(?P=q)")
    )
    assert re.fullmatch(pattern, new), new


@given(st.permutations(TEXT.splitlines(keepends=True)))
def test_no_line_may_move(lines: list[str]) -> None:
    """Not even where the values stay the same."""
    if "".join(lines) != TEXT:
        refused(TEXT, "".join(lines))
