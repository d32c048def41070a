"""`quarterdeck bump --pin` and `--unpin`: where a copy of one environment is written, and how it goes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.charts_tree import DEEP, NEW, OLD, Charts, Text, bytes_of, helmfile, only, shared

CANARY = {"staging": ["production"], "eqiad": ["production", "canary"], "codfw": ["production", "canary"]}
PIN = ("citoid", NEW, "--env", "staging", "--pin")
COPY = f"main_app:\n  version: {OLD}\n"
BLOCK = f"main_app:\n  version: {NEW}\n"


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("main_app:\n  port: 1\n", f"main_app:\n  version: {NEW}\n  port: 1\n"),
        ("main_app:\n    port: 1\n", f"main_app:\n    version: {NEW}\n    port: 1\n"),
        ("main_app:\n port: 1", f"main_app:\n version: {NEW}\n port: 1"),
        ("main_app: # own\n  port: 1\n", f"main_app: # own\n  version: {NEW}\n  port: 1\n"),
        ("x: 1\nmain_app:\n  a: {b: 1}\ny: 2\n", f"x: 1\nmain_app:\n  version: {NEW}\n  a: {{b: 1}}\ny: 2\n"),
        ("main_app:\r\n  port: 1\r\n", f"main_app:\r\n  version: {NEW}\r\n  port: 1\r\n"),
        ("\ufeffmain_app:\n  port: 1\n", f"\ufeffmain_app:\n  version: {NEW}\n  port: 1\n"),
        ('"main_app":\n  port: 1\n', f'"main_app":\n  version: {NEW}\n  port: 1\n'),
        ("main_app:\n\n  port: 1\n", None),
        ("main_app:\n  # about the port\n  port: 1\n", f"main_app:\n  version: {NEW}\n  # about the port\n  port: 1\n"),
        ("main_app:\n", BLOCK),
        ("main_app:", BLOCK),
        ("a: 1\nmain_app:\n  # version: x\nb: 1\n", f"a: 1\nmain_app:\n  version: {NEW}\n  # version: x\nb: 1\n"),
        # a key of the same name elsewhere is no pin
        ("main_app:\n  x:\n    version: 3\n", f"main_app:\n  version: {NEW}\n  x:\n    version: 3\n"),
        ("other:\n  main_app:\n    version: 3\n", f"other:\n  main_app:\n    version: 3\n\n{BLOCK}"),
        # no block: the end of the file, after one blank line
        ("resources:\n  replicas: 1\n", f"resources:\n  replicas: 1\n\n{BLOCK}"),
        ("resources:\n  replicas: 1", f"resources:\n  replicas: 1\n\n{BLOCK}"),
        ("resources:\n  replicas: 1\n\n", f"resources:\n  replicas: 1\n\n{BLOCK}"),
        ("resources:\n  replicas: 1\n# the end\n", f"resources:\n  replicas: 1\n# the end\n\n{BLOCK}"),
        ("resources:\n  replicas: 1 # x", f"resources:\n  replicas: 1 # x\n\n{BLOCK}"),
        ("a: 1\r\n", "a: 1\r\n\r\n" + BLOCK.replace("\n", "\r\n")),
        ("# nothing yet\n", f"# nothing yet\n\n{BLOCK}"),
        ("---\na: 1\n", f"---\na: 1\n\n{BLOCK}"),
        ("a: |\n  text\n", f"a: |\n  text\n\n{BLOCK}"),
        ("\ufeffa: 1\n", f"\ufeffa: 1\n\n{BLOCK}"),
        # no text, no file: the block alone
        ("", BLOCK),
        (None, BLOCK),
    ],
)
def test_a_pin_is_written(charts: Charts, before: str | None, after: str | None) -> None:
    """The first child of the block that is there; else a block after one blank line; else a file of its own."""
    charts.service(values=shared())
    if before is not None:
        charts.put("helmfile.d/services/citoid/values-staging.yaml", before)
    changed, outcome = charts.edit(*PIN)
    assert outcome.err == ""
    if after is not None:
        assert changed == only(("values-staging.yaml", after))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'"{OLD}"', f'"{NEW}"'),
        (f"'{OLD}'", f"'{NEW}'"),
        (f'&v "{OLD}"', f'"{NEW}"'),
        (f"{OLD} # bump with care", NEW),
    ],
)
def test_a_pins_quoting_follows_the_shared_scalar(charts: Charts, old: str, new: str) -> None:
    """Quotes as in values.yaml; its comment and anchor stay there."""
    charts.service(values=shared(old))
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK.replace(NEW, new)))


def test_a_pin_that_reads_as_a_number_is_quoted(charts: Charts) -> None:
    """A tag 1.10 would be a float."""
    charts.service(values=shared("v1.9"))
    changed, _ = charts.edit("citoid", "1.10", "--env", "staging", "--pin")
    assert changed in [only(("values-staging.yaml", f"main_app:\n  version: {q}1.10{q}\n")) for q in ("'", '"')]


def test_other_main_keys_are_pinned_under_their_own_block(charts: Charts) -> None:
    """app.version and a shared main_app block that is not the tag's."""
    charts.service(values=f"app:\n  image: x/y\n  version: {OLD}\nmain_app:\n  port: 1\n")
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", f"app:\n  version: {NEW}\n"))


def test_a_pin_for_two_environments_is_two_files(charts: Charts) -> None:
    """Each environment gets its own."""
    charts.service(values=shared(), values_eqiad="a: 1\n")
    changed, _ = charts.edit("citoid", NEW, "--pin", "--env", "staging", "--env", "eqiad")
    assert changed == only(("values-staging.yaml", BLOCK), ("values-eqiad.yaml", f"a: 1\n\n{BLOCK}"))


def test_a_copy_that_is_there_is_edited(charts: Charts) -> None:
    """No second line."""
    charts.service(values=shared(), values_staging=COPY)
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK))
    charts.put("helmfile.d/services/citoid/values-staging.yaml", BLOCK)
    charts.fails(3, *PIN)


def test_a_pin_that_a_release_file_overrides_is_refused(charts: Charts) -> None:
    """It would do nothing; the reason names the file that wins."""
    charts.service(values=shared(), values_main=COPY)
    err = charts.refused(*PIN)
    assert "values-main.yaml" in err
    assert "overrid" in err


def test_a_pin_goes_to_the_file_of_release_and_environment(charts: Charts) -> None:
    """Where the helmfile names such a file and the release's file would win."""
    charts.service(helm=helmfile(layers=DEEP), values=shared(), values_main=COPY)
    assert charts.edit(*PIN)[0] == only(("values-main-staging.yaml", BLOCK))


def test_a_pin_under_a_release_file_edits_the_copy_that_is_there(charts: Charts) -> None:
    """values-main-staging.yaml has the tag already."""
    charts.service(helm=helmfile(layers=DEEP), values=shared(), values_main=COPY, values_main_staging=COPY)
    assert charts.edit(*PIN)[0] == only(("values-main-staging.yaml", BLOCK))


def test_a_pin_uses_the_environments_file_where_no_release_overrides(charts: Charts) -> None:
    """The helmfile names values-RELEASE-ENV.yaml, but nothing asks for it."""
    charts.service(helm=helmfile(layers=DEEP), values=shared())
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK))


def test_one_release_of_an_environment_overridden(charts: Charts) -> None:
    """Production reads the environment's file, canary its own: both get the pin, or canary makes it a refusal."""
    eqiad = ("citoid", NEW, "--env", "eqiad", "--pin")
    charts.service(helm=helmfile(CANARY), values=shared(), values_canary=COPY)
    assert "values-canary.yaml" in charts.refused(*eqiad)
    charts.service(helm=helmfile(CANARY, DEEP))
    assert charts.edit(*eqiad)[0] == only(("values-eqiad.yaml", BLOCK), ("values-canary-eqiad.yaml", BLOCK))


def test_a_pin_for_one_release_does_not_move_its_neighbours(charts: Charts) -> None:
    """With --pin there are no side effects: the file of release and environment, or a refusal."""
    one = ("citoid", NEW, "--env", "eqiad", "--release", "canary", "--pin")
    charts.service(helm=helmfile(CANARY, DEEP), values=shared())
    assert charts.edit(*one)[0] == only(("values-canary-eqiad.yaml", BLOCK))
    charts.service(helm=helmfile(CANARY))
    charts.refused(*one)


def test_a_pin_where_the_helmfile_reads_no_such_file_is_refused(charts: Charts) -> None:
    """No values-staging.yaml among the layers: a file nobody reads is no pin."""
    charts.service(helm=helmfile(layers=("values.yaml", "values-RELEASE.yaml")), values=shared())
    charts.refused(*PIN)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (COPY, None),
        (f"# staging\n{COPY}", "# staging\n"),
        (f"main_app:\n  version: {OLD} # ahead\n  port: 1\n", "main_app:\n  port: 1\n"),
        (f"main_app:\n  port: 1\n  version: {OLD}\n", "main_app:\n  port: 1\n"),
        (f"main_app:\n  port: 1\n  version: {OLD}", "main_app:\n  port: 1\n"),
        (f"a: 1\n\n{COPY}", "a: 1\n"),
        (f"{COPY}a: 1\n", "a: 1\n"),
        (f"{COPY}\na: 1\n", "a: 1\n"),
        (f"a: 1\n\n{COPY}\nb: 1\n", "a: 1\n\nb: 1\n"),
        (f"main_app:\r\n  version: {OLD}\r\n  port: 1\r\n", "main_app:\r\n  port: 1\r\n"),
        (f"main_app:\n  version: {OLD}\n  # port\n  port: 1\n", "main_app:\n  # port\n  port: 1\n"),
        (f"---\nmain_app:\n  version: {OLD}\na: 1\n", "---\na: 1\n"),
    ],
)
def test_a_pin_is_removed(charts: Charts, text: Text, left: Text | None) -> None:
    """The line goes with its comment; no empty block and no empty file stay; comments keep a file."""
    charts.service(values=shared(), values_staging=text)
    for more in ([], ["--env", "staging"]):
        changed, _ = charts.edit("citoid", NEW, "--unpin", *more)
        assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", left))


@pytest.mark.parametrize("text", [None, "a: 1\n", "# c\n", "main_app:\n  port: 1\n", "a: 1\r\n"])
def test_a_pin_leaves_no_trace(charts: Charts, text: Text | None) -> None:
    """Pinned, then unpinned at the same shared tag: the file is what it was."""
    charts.service(values=shared(NEW))
    if text is not None:
        charts.put("helmfile.d/services/citoid/values-staging.yaml", text)
    tag = "2026-08-20-000000-production"
    changed, _ = charts.edit("citoid", tag, "--env", "staging", "--pin")
    pinned = changed["helmfile.d/services/citoid/values-staging.yaml"]
    assert pinned is not None
    charts.put("helmfile.d/services/citoid/values-staging.yaml", pinned)
    back, outcome = charts.edit("citoid", NEW, "--unpin", "--env", "staging")
    assert back == only(("values-staging.yaml", text))
    assert outcome.err == ""


def test_staging_first_then_production(charts: Charts) -> None:
    """The second commit of the pattern: values.yaml follows and the staging line goes."""
    ahead = f"main_app:\n  version: {NEW}\n  port: 1\n"
    charts.service(values=shared(), values_staging=ahead)
    changed, _ = charts.edit("citoid", NEW, "--unpin")
    assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", "main_app:\n  port: 1\n"))


def test_unpin_of_one_environment_leaves_the_others(charts: Charts) -> None:
    """Eqiad keeps its copy; it is not moved either."""
    charts.service(values=shared(), values_staging=COPY, values_eqiad=COPY)
    changed, outcome = charts.edit("citoid", NEW, "--unpin", "--env", "staging")
    assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", None))
    assert "codfw" in outcome.err
    assert "eqiad" not in outcome.err
    changed, _ = charts.edit("citoid", NEW, "--unpin")
    assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", None), ("values-eqiad.yaml", None))


def test_unpin_when_the_shared_scalar_is_there_already(charts: Charts) -> None:
    """Only the copy goes."""
    charts.service(values=shared(NEW), values_staging=COPY)
    assert charts.edit("citoid", NEW, "--unpin")[0] == only(("values-staging.yaml", None))


def test_unpin_with_nothing_pinned_is_a_bump(charts: Charts) -> None:
    """The shared scalar moves; the second time nothing is left to do."""
    charts.service(values=shared(), values_staging="a: 1\n")
    assert charts.edit("citoid", NEW, "--unpin")[0] == only(("values.yaml", shared(NEW)))
    charts.fails(3, "citoid", OLD, "--unpin")


def test_copies_of_releases_move_and_never_go(charts: Charts) -> None:
    """values-canary.yaml is no copy of an environment."""
    charts.service(helm=helmfile(CANARY), values=shared(), values_canary=COPY, values_staging=COPY)
    changed, _ = charts.edit("citoid", NEW, "--unpin")
    assert changed == only(("values.yaml", shared(NEW)), ("values-canary.yaml", BLOCK), ("values-staging.yaml", None))


def test_unpin_where_no_shared_scalar_stands_is_refused(charts: Charts) -> None:
    """The copy is the only tag there is: taking it away would leave none."""
    charts.service(values="main_app:\n  port: 1\n", values_staging=COPY, values_eqiad=COPY, values_codfw=COPY)
    charts.refused("citoid", NEW, "--unpin")


def test_a_symlinked_copy_is_not_unpinned_for_its_sharers_silently(charts: Charts) -> None:
    """The file of one environment that another service reads too: the other is named."""
    charts.service(values=shared(), values_staging=COPY)
    charts.service("twin", values=shared())
    charts.link("helmfile.d/services/twin/values-staging.yaml", "../citoid/values-staging.yaml")
    outcome = charts.bump("citoid", NEW, "--unpin")
    assert outcome.status in (0, 4)
    assert "twin" in outcome.err


@pytest.mark.parametrize("text", ["main_app: *a\n", "main_app: 5\n", "- 1\n", "a: [\n", "{}\n"])
def test_a_pin_where_no_line_can_go_is_refused(charts: Charts, text: str) -> None:
    """Aliases, lists and broken files are left to people."""
    if text.endswith("*a\n"):
        text = f"x: &a\n  port: 1\n{text}"
    charts.service(values=shared(), values_staging=text)
    outcome = charts.bump(*PIN)
    assert outcome.status == 4
    assert "values-staging.yaml" in outcome.err
    assert outcome.out == b""


def test_a_flow_mapping_takes_the_pin_or_refuses_it(charts: Charts) -> None:
    """Never a block line beside it."""
    charts.service(values=shared(), values_staging="main_app: {port: 1}\n")
    if charts.bump(*PIN).status == 4:
        charts.refused(*PIN)
    else:
        assert charts.edit(*PIN)[0] == only(("values-staging.yaml", f"main_app: {{version: {NEW}, port: 1}}\n"))


def test_a_template_in_the_pinned_file_stays_as_it_is(charts: Charts) -> None:
    """Either the block goes to the end, or it is refused."""
    text = "a: 1\n{{ range $x := .Values.y }}\nb: {{ $x }}\n{{ end }}\n"
    charts.service(values=shared(), values_staging=text)
    if charts.bump(*PIN).status == 0:
        assert charts.edit(*PIN)[0] == only(("values-staging.yaml", f"{text}\n{BLOCK}"))
    else:
        charts.refused(*PIN)


def test_written_bytes_are_utf8_whatever_the_locale(charts: Charts) -> None:
    """Names beyond ASCII in the file stay."""
    text = bytes_of("main_app:\n  name: Zürich 🐦\n")
    charts.service(values=shared(), values_staging=text)
    changed, _ = charts.edit(*PIN)
    assert changed == only(("values-staging.yaml", f"main_app:\n  version: {NEW}\n  name: Zürich 🐦\n"))


def test_a_release_named_as_its_environment(charts: Charts) -> None:
    """values-staging.yaml is the environment's file and the release's at once: pinned, edited, unpinned as any other."""
    charts.service(helm=helmfile({"staging": ["staging"], "eqiad": ["production"]}), values=shared())
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK))
    charts.put("helmfile.d/services/citoid/values-staging.yaml", COPY)
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK))
    assert charts.edit("citoid", NEW)[0] == only(("values.yaml", shared(NEW)), ("values-staging.yaml", BLOCK))
    for more in ([], ["--env", "staging"]):
        changed, _ = charts.edit("citoid", NEW, "--unpin", *more)
        assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", None))


def test_a_production_release_file_is_not_taken_for_a_copy(charts: Charts) -> None:
    """Two environments read values-production.yaml: it moves with --unpin, and a pin beneath it is refused."""
    envs = {"staging": ["staging"], "eqiad": ["production"], "codfw": ["production"]}
    charts.service(helm=helmfile(envs), values=shared(), values_production=COPY)
    changed, _ = charts.edit("citoid", NEW, "--unpin")
    assert changed == only(("values.yaml", shared(NEW)), ("values-production.yaml", BLOCK))
    assert "values-production.yaml" in charts.refused("citoid", NEW, "--env", "eqiad", "--pin")


def test_a_pin_of_a_release_in_all_its_environments_goes_to_the_releases_file(charts: Charts) -> None:
    """Canary runs in these two only: values-canary.yaml wins for it and moves nobody else."""
    both = ("citoid", NEW, "--env", "eqiad", "--env", "codfw", "--release", "canary", "--pin")
    charts.service(helm=helmfile(CANARY), values=shared(), values_canary="resources:\n  replicas: 1\n")
    changed, outcome = charts.edit(*both)
    assert changed == only(("values-canary.yaml", f"resources:\n  replicas: 1\n\n{BLOCK}"))
    assert outcome.err == ""
    charts.put("helmfile.d/services/citoid/values-canary.yaml", COPY)
    assert charts.edit(*both)[0] == only(("values-canary.yaml", BLOCK))


def test_a_pin_of_a_release_prefers_the_file_of_its_environment(charts: Charts) -> None:
    """A release that runs in one environment: the file of both is that environment's own copy."""
    one = ("citoid", NEW, "--env", "eqiad", "--release", "canary", "--pin")
    envs = {"eqiad": ["production", "canary"], "codfw": ["production"]}
    charts.service(helm=helmfile(envs, DEEP), values=shared(), values_canary="a: 1\n")
    assert charts.edit(*one)[0] == only(("values-canary-eqiad.yaml", BLOCK))
    charts.service(helm=helmfile(envs))
    assert charts.edit(*one)[0] == only(("values-canary.yaml", f"a: 1\n\n{BLOCK}"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"main_app:\n\n  version: {OLD}\n\n  port: 1\n", "main_app:\n\n  port: 1\n"),
        (f"main_app:\n  port: 1\n\n  version: {OLD}\n", "main_app:\n  port: 1\n"),
        (f"main_app:\n  port: 1\n\n  version: {OLD}\n\nb: 1\n", "main_app:\n  port: 1\n\nb: 1\n"),
        (f"main_app:\n  version: {OLD}\n\n  port: 1\n", "main_app:\n\n  port: 1\n"),
    ],
)
def test_an_unpinned_line_set_apart_takes_a_blank_line_along(charts: Charts, text: str, left: str) -> None:
    """Blank lines on both sides, or the end of the file: one goes, so that no gap of two is left."""
    charts.service(values=shared(), values_staging=text)
    changed, _ = charts.edit("citoid", NEW, "--unpin")
    assert changed == only(("values.yaml", shared(NEW)), ("values-staging.yaml", left))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "app:\n  version: {0}\n  worker:\n    image_version: {0}\n"),
        ("x: 1\n", "x: 1\n\napp:\n  version: {0}\n  worker:\n    image_version: {0}\n"),
        ("app:\n  port: 1\n", "app:\n  version: {0}\n  worker:\n    image_version: {0}\n  port: 1\n"),
        ("app:\n  worker:\n    n: 1\n", "app:\n  version: {0}\n  worker:\n    image_version: {0}\n    n: 1\n"),
    ],
)
def test_a_pin_of_a_tag_that_stands_twice_is_one_block(charts: Charts, before: str | None, after: str) -> None:
    """The tag and what its anchor feeds go together, below one block."""
    values = f"app:\n  image: x/y\n  version: &v {OLD}\n  worker:\n    image_version: *v\n"
    charts.service(values=values)
    if before is not None:
        charts.put("helmfile.d/services/citoid/values-staging.yaml", before)
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", after.format(NEW)))


@pytest.mark.parametrize("before", ["x: 1\n", "x: 1", "x: 1\n\n", "x: 1\r\n"])
def test_a_pin_of_two_blocks_keeps_their_order_and_a_blank_line_between(charts: Charts, before: str) -> None:
    """As they stand in the shared file."""
    values = f"version: &v {OLD}\nfront:\n  app:\n    version: *v\nback:\n  app:\n    version: *v\n"
    values += "  job:\n    image_version: *v\n"
    charts.service(values=values, values_staging=before)
    after = f"x: 1\n\nfront:\n  app:\n    version: {NEW}\n\nback:\n  app:\n    version: {NEW}\n"
    after += f"  job:\n    image_version: {NEW}\n"
    if before == "x: 1\n\n":
        after = after.replace("\n\nback", "\nback")
    end = "\r\n" if "\r" in before else "\n"
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", after.replace("\n", end)))


def test_a_pin_of_what_stands_in_a_list_is_refused(charts: Charts) -> None:
    """Helm replaces lists as a whole: a copy of one item would take the others away. A copy that is there is edited."""
    text = f"jobs:\n  - name: a\n    image: x/a\n    image_version: {OLD}\n  - name: b\n"
    charts.service(values=text)
    err = charts.refused(*PIN)
    assert "jobs is a list" in err
    assert "values-staging.yaml" in err
    charts.service(values_staging=text)
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", text.replace(OLD, NEW)))


def test_a_pin_does_not_begin_a_global_file(charts: Charts) -> None:
    """global-ENV.yaml is named below values-ENV.yaml: one that is there takes the pin, else values-ENV.yaml is written."""
    layers = ("values.yaml", "global-ENV.yaml", "values-ENV.yaml", "values-RELEASE.yaml")
    charts.service(helm=helmfile(layers=layers), values=shared())
    assert charts.edit(*PIN)[0] == only(("values-staging.yaml", BLOCK))
    charts.service(global_staging="a: 1\n", helm=helmfile(layers=layers))
    assert charts.edit(*PIN)[0] == only(("global-staging.yaml", f"a: 1\n\n{BLOCK}"))
