"""`quarterdeck bump` on files as people write them: every byte but the tag's stays, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck.core.charts import vote_limit as limit
from quarterdeck.core.model.errors import EditRefusedError
from tests.worlds.charts_tree import NEW, OLD, Charts, bytes_of, only, shared

PLACE = "helmfile.d/services/citoid/values.yaml"


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        f"main_app:\n  version:  {OLD}\n",
        f"main_app:\n  version: {OLD} # need to switch to -$environment\n",
        f"main_app:\n  version: {OLD}   \n",
        f"main_app:\n  version: {OLD}",
        f'main_app:\n  version: "{OLD}" # Correct image tag\n',
        f"main_app:\n  version: '{OLD}'",
        f"main_app:\n  version:\t{OLD}\n",
        f"main_app:\n  version: {OLD}\t# tab\n",
        f"main_app:\r\n  version: {OLD}\r\n  port: 1\r\n",
        f"main_app:\r\n  version: {OLD} # c\r\n  port: 1",
        f"main_app:\n  version: {OLD}\r\n  port: 1\n",
        f"\ufeffmain_app:\n  version: {OLD}\n",
        f"# ünïcödé 🐦\nmain_app:\n  name: 🐦\n  version: {OLD} # 🐦\n",
        f"main_app: {{image: x, version: {OLD}, port: 1}}\n",
        f'{{"main_app": {{"version": "{OLD}"}}}}\n',
        f"main_app:\n  version:\n    {OLD}\n",
        f"main_app:\n  ? version\n  : {OLD}\n",
        f"\"main_app\":\n  'version': {OLD}\n",
        f"main_app:\n    image: x\n\n\n    # here\n\n    version: {OLD}\n\n\n",
        f"main_app:\n  version: !!str {OLD}\n",
        f"---\nmain_app:\n  version: {OLD}\n",
        f"# head\n---\nmain_app:\n  version: {OLD}\n...\n",
        f"a:\n- 1\n- 2\nmain_app:\n  version: {OLD}\nb: |\n  version: {OLD}\n  text\nc: >-\n  {OLD}\n",
        # what YAML repeats elsewhere is nobody's business here
        f"a: 1\nmain_app:\n  version: {OLD}\na: 2\n",
        f"networkpolicy:\n  x: 1\nmain_app:\n  version: {OLD}\nnetworkpolicy:\n  y: 1\n",
        f"main_app:\n  port: 1\n  version: {OLD}\n  port: 2\n",
        # the word elsewhere
        f"version: 1\nhelm_scaffold_version: 0.2\nmain_app:\n  x:\n    version: 7\n  version: {OLD}\nphp:\n  version: 8\n",
        # a template in a comment or in a string is text
        f"# {{{{ .Values.x }}}}\nmain_app:\n  version: {OLD}\nx: '{{{{ .Release.Name }}}}'\n",
        f"base: &base\n  port: 1\nmain_app:\n  <<: *base\n  version: {OLD}\n",
        f"main_app:\n  version: {OLD}\n\x0b".replace("\x0b", "\n"),
        f'main_app:\n  a: "x\u2028y"\n  version: {OLD}\n',
    ],
)
def test_only_the_tag_changes(charts: Charts, text: str) -> None:
    """Spacing, quotes, comments, line ends, BOM and everything else are as before."""
    changed, _ = charts.service(values=text).edit("citoid", NEW)
    main = text.count(OLD)
    if main == 1:
        assert changed == only(("values.yaml", text.replace(OLD, NEW)))
    else:
        assert changed == only(("values.yaml", text.replace(OLD, NEW, 1)))


def test_the_diff_of_a_file_without_a_final_newline(charts: Charts) -> None:
    """As git writes it."""
    outcome = charts.service(values=f"main_app:\n  version: {OLD}").bump("citoid", NEW)
    assert outcome.out.count(b"\\ No newline at end of file\n") == 2


def test_the_diff_of_carriage_returns(charts: Charts) -> None:
    """Lines keep theirs, the diff's own lines have none."""
    outcome = charts.service(values=f"main_app:\r\n  version: {OLD}\r\n").bump("citoid", NEW)
    assert f"+  version: {NEW}\r\n".encode() in outcome.out
    assert all(not line.endswith(b"\r") for line in outcome.out.split(b"\n") if line[:2] in (b"--", b"++", b"@@"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"main_app:\n  version: {OLD}\n  version: {OLD}\n", "twice"),
        (f"main_app:\n  version: {OLD}\nmain_app:\n  port: 1\n", "main_app"),
        (f"main_app:\n  version: |\n    {OLD}\n", "block"),
        (f"main_app:\n  version: >-\n    {OLD}\n", "block"),
        ("main_app:\n  version: {{ .Values.tag }}\n", "template"),
        ('main_app:\n  version: "{{ .Values.tag }}"\n', "template"),
        (f"main_app:\n{{{{ if x }}}}\n  version: {OLD}\n{{{{ else }}}}\n  version: x\n{{{{ end }}}}\n", "twice"),
        ("main_app:\n  version:\n", "version"),
        ("main_app:\n  version: [a, b]\n", "version"),
        ("main_app:\n  version: {a: b}\n", "version"),
        ("main_app:\n  version: ''\n", "version"),
        ("main_app: [\n", "values.yaml"),
        (f"main_app:\n  version: {OLD}\n---\nmain_app:\n  version: {OLD}\n", "document"),
        ("- 1\n- 2\n", "values.yaml"),
        ("", "tag"),
    ],
)
def test_refused_with_the_place(charts: Charts, text: str, word: str) -> None:
    """Duplicate keys on the path, block scalars, templates at the target, broken files: why, and where."""
    err = charts.service(values=text).refused("citoid", NEW)
    assert "values.yaml" in err or word == "tag", err
    assert "Traceback" not in err


def test_a_refusal_names_file_and_lines_of_candidates(charts: Charts) -> None:
    """Both places of a duplicate."""
    err = charts.service(values=f"main_app:\n  version: {OLD}\n  version: {OLD}\n").refused("citoid", NEW)
    assert "values.yaml" in err
    assert "2, 3" in err or ("yaml:2" in err and "yaml:3" in err)


@pytest.mark.parametrize(
    "text", [b"\xff\xfem\x00", b"main_app:\n  version: \xe9\n", b"\x00", b"a: \x07\n", b"%YAML 9\n"]
)
def test_bytes_that_are_no_yaml_text_are_refused(charts: Charts, text: bytes) -> None:
    """Never an exception."""
    charts.service(values=text).refused("citoid", NEW)


def test_a_broken_file_that_decides_nothing_asked_is_no_obstacle(charts: Charts) -> None:
    """A file that no layer names may be anything."""
    charts.service(values=shared())
    charts.put("helmfile.d/services/citoid/notes.yaml", b"\xff{{")
    assert charts.edit("citoid", NEW)[0] == only(("values.yaml", shared(NEW)))


def test_a_huge_file_is_read_and_an_absurd_one_is_refused(charts: Charts) -> None:
    """Nesting beyond the parser's depth is our own refusal."""
    charts.service(values="a: " + "[" * 5000 + "]" * 5000 + "\n" + shared()).refused("citoid", NEW)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    charts.service("bomb", values=bomb + shared())
    outcome = charts.bump("bomb", NEW)
    assert outcome.status in (0, 4)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_write_keeps_the_mode_and_leaves_no_scraps(charts: Charts, mode: int) -> None:
    """A file is replaced in one step, with the permissions it had."""
    charts.service(values=shared())
    place = charts.root / PLACE
    place.chmod(mode)
    before = place.stat().st_ino
    assert charts.run("bump", "citoid", NEW, "--write").status == 0
    assert place.read_bytes() == bytes_of(shared(NEW))
    assert place.stat().st_mode & 0o777 == mode
    assert place.stat().st_ino != before, "written in place, not replaced"
    assert sorted(p.name for p in place.parent.iterdir()) == ["helmfile.yaml", "values.yaml"]


def test_write_through_a_link_keeps_the_link(charts: Charts) -> None:
    """The real file is replaced, the link stays a link."""
    charts.service(values="a: 1\n")
    (charts.root / PLACE).unlink()
    charts.put("helmfile.d/services/_common_/values.yaml", shared())
    charts.link(PLACE, "../_common_/values.yaml")
    changed, _ = charts.edit("citoid", NEW)
    assert changed == {"helmfile.d/services/_common_/values.yaml": shared(NEW).encode()}
    charts.run("bump", "citoid", NEW, "--write")
    assert (charts.root / PLACE).is_symlink()


def test_a_refusal_of_write_writes_nothing(charts: Charts) -> None:
    """All or nothing over several files."""
    charts.service(values=shared(), values_staging=f"main_app:\n  version: |\n    {OLD}\n")
    before = charts.state()
    assert charts.run("bump", "citoid", NEW, "--write").status == 4
    assert charts.state() == before


def test_a_template_elsewhere_is_text(charts: Charts) -> None:
    """The tag itself is none: it moves, and the template stays as it is."""
    text = f"x: {{{{ .Values.y | quote }}}}\nmain_app:\n  version: {OLD} # {{{{\n"
    assert charts.service(values=text).edit("citoid", NEW)[0] == only(("values.yaml", text.replace(OLD, NEW)))


@pytest.mark.parametrize(
    "text",
    [
        f"main_app:\n  version: {OLD}\nx:\n{{{{- range .Values.l }}}}\n  - {{{{ . }}}}\n{{{{- end }}}}\n",
        f"main_app:\n{{{{ if x }}}}\n  version: {OLD}\n{{{{ end }}}}\n",
    ],
)
def test_conditions_are_refused_and_get_no_vote(charts: Charts, text: str) -> None:
    """Helm cannot read it, and what stands between conditions is not always there."""
    assert "a template with conditions" in charts.service(values=text).refused("citoid", NEW)
    with pytest.raises(EditRefusedError, match="no plain YAML"):
        limit.prove({PLACE: text.encode()}, {PLACE: text.replace(OLD, NEW).encode()}, "helmfile.d/services")


@pytest.mark.parametrize("chomp", ["|", "|-", "|+", ">+"])
def test_a_pin_after_a_block_scalar_does_not_change_it(charts: Charts, chomp: str) -> None:
    """The blank line before the new block would become part of a kept text: then it is refused."""
    text = f"a: {chomp}\n  text\n"
    charts.service(values=shared(), values_staging=text)
    outcome = charts.bump("citoid", NEW, "--pin", "--env", "staging")
    if chomp.endswith("+"):
        assert outcome.status == 4
    else:
        changed, _ = charts.edit("citoid", NEW, "--pin", "--env", "staging")
        assert changed == only(("values-staging.yaml", f"{text}\nmain_app:\n  version: {NEW}\n"))


def test_a_tag_that_comes_by_a_merge_key(charts: Charts) -> None:
    """The base is edited where it feeds this tag alone; where it feeds more, it is refused with both named."""
    text = f"base: &base\n  version: {OLD}\nmain_app:\n  <<: *base\n  image: x/y\n"
    outcome = charts.service(values=text).bump("citoid", NEW)
    if outcome.status == 0:
        assert charts.edit("citoid", NEW)[0] == only(("values.yaml", text.replace(OLD, NEW)))
    else:
        err = charts.refused("citoid", NEW)
        assert "base.version" in err
        assert "main_app.version" in err


def test_an_own_key_beside_a_merge_key_wins(charts: Charts) -> None:
    """The base's version is nobody's here."""
    text = f"base: &base\n  version: v1\nmain_app:\n  <<: *base\n  image: x/y\n  version: {OLD}\n"
    assert charts.service(values=text).edit("citoid", NEW)[0] == only(("values.yaml", text.replace(OLD, NEW)))
