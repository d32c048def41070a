"""Bumps of the shapes history is full of: a careful person's text before and after, and ours, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worlds.charts_tree import DEEP, Charts, helmfile, only

A, B, C = "2026-03-01-101010-production", "2026-03-08-111111-production", "2026-03-15-121212-production"
EVALUATORS = {"staging": ["o", "js", "py"], "eqiad": ["o", "js", "py"], "codfw": ["o", "js", "py"]}
SIMPLE = """\
# {head}
docker:
  registry: docker-registry.example
  pull_policy: IfNotPresent
resources:
  replicas: 8
main_app:
  image: wikimedia/service
  # the port of the container
  port: 3001
  version: {tag}
  limits:
    cpu: 1
    memory: 1200Mi
mesh:
  enabled: true
  image_version: 1.35.9-1
"""


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """An empty checkout."""
    return Charts(tmp_path)


def values(tag: str, head: str = "service") -> str:
    """The shared file."""
    return SIMPLE.format(tag=tag, head=head)


def take(charts: Charts, changed: dict[str, bytes | None]) -> None:
    """Commit: what changed is the tree now."""
    for path, text in changed.items():
        if text is None:
            (charts.root / path).unlink()
        else:
            charts.put(path, text)


STAGING = "resources:\n  replicas: 1\nmain_app:\n  log_level: debug\n"
PINNED = "resources:\n  replicas: 1\nmain_app:\n  version: {}\n  log_level: debug\n"


@pytest.mark.parametrize(
    ("staging", "pinned"),
    [
        (STAGING, PINNED.format(B)),
        ("resources:\n  replicas: 1\n", f"resources:\n  replicas: 1\n\nmain_app:\n  version: {B}\n"),
        (None, f"main_app:\n  version: {B}\n"),
        ("---\n# staging\n", None),
    ],
)
def test_staging_first_then_production_and_round_again(charts: Charts, staging: str | None, pinned: str | None) -> None:
    """A pin in staging, a second one, production follows and the pin goes; later the same again: no trace is left."""
    charts.service("s", values=values(A), **({} if staging is None else {"values_staging": staging}))
    for first, second, end in ((A, B, C), (C, A, B)):
        changed, _ = charts.edit("s", second, "--env", "staging", "--pin")
        if pinned is not None:
            assert changed == only(("values-staging.yaml", pinned.replace(B, second)), service="s")
        take(charts, changed)
        changed, said = charts.edit("s", end, "--env", "staging")
        assert list(changed) == ["helmfile.d/services/s/values-staging.yaml"]
        assert said.err == ""
        take(charts, changed)
        changed, _ = charts.edit("s", end, "--unpin")
        assert changed == only(("values.yaml", values(end)), ("values-staging.yaml", staging), service="s")
        take(charts, changed)
        assert first != end


def test_values_only_and_its_revert(charts: Charts) -> None:
    """The commonest: one file, one line; the revert gives the old bytes."""
    charts.service("s", values=values(A))
    take(charts, charts.edit("s", B)[0])
    assert charts.edit("s", A)[0] == only(("values.yaml", values(A)), service="s")


def test_staging_and_shared_in_one_commit(charts: Charts) -> None:
    """Two files of the same tag."""
    charts.service("s", values=values(A), values_staging=PINNED.format(A))
    assert charts.edit("s", B)[0] == only(
        ("values.yaml", values(B)), ("values-staging.yaml", PINNED.format(B)), service="s"
    )


def test_production_alone_while_staging_keeps_its_copy(charts: Charts) -> None:
    """Staging had it first; production comes to the same tag and the copy stays."""
    charts.service("s", values=values(A), values_staging=PINNED.format(B))
    changed, said = charts.edit("s", B, "--env", "eqiad", "--env", "codfw")
    assert changed == only(("values.yaml", values(B)), service="s")
    assert said.err == ""


def test_one_data_centre_first(charts: Charts) -> None:
    """A pin in codfw, then everywhere: the pin goes."""
    charts.service("s", values=values(A))
    changed, _ = charts.edit("s", B, "--env", "codfw", "--pin")
    assert changed == only(("values-codfw.yaml", f"main_app:\n  version: {B}\n"), service="s")
    take(charts, changed)
    assert charts.edit("s", B, "--unpin")[0] == only(
        ("values.yaml", values(B)), ("values-codfw.yaml", None), service="s"
    )


def test_two_evaluators_move_and_the_orchestrator_stays(charts: Charts) -> None:
    """Two files in one commit, by release; then the orchestrator alone."""
    charts.service("f", helm=helmfile(EVALUATORS, DEEP), values="main_app:\n  port: 1\n")
    text = "# v\nmain_app:\n  image: repos/f/{}\n  version: {}\n  requests: {{cpu: 1}}\n"
    for release in ("o", "js", "py"):
        charts.put(f"helmfile.d/services/f/values-{release}.yaml", text.format(release, A))
    changed, said = charts.edit("f", B, "--release", "js", "--release", "py")
    assert changed == only(
        ("values-js.yaml", text.format("js", B)), ("values-py.yaml", text.format("py", B)), service="f"
    )
    assert said.err == ""
    take(charts, changed)
    assert charts.edit("f", C, "--part", "o")[0] == only(("values-o.yaml", text.format("o", C)), service="f")


def test_three_suffixes_of_one_build(charts: Charts) -> None:
    """Each key brings its own tag."""
    text = (
        "main_app:\n  image: repos/nav\n  version: {0}-web\nsidecars:\n  backend:\n    image: repos/nav\n"
        "    version: {0}-backend\n  data-sync:\n    image: repos/nav\n    version: {0}-data-sync\n"
    )
    charts.service("m", helm=helmfile({"aux": ["nav"]}), values="a: 1\n", values_nav=text.format("2026-03-01-101010"))
    keys = [("main_app", "web"), ("sidecars.backend", "backend"), ("sidecars.data-sync", "data-sync")]
    args = [x for path, end in keys for x in ("--key", f"values-nav.yaml:{path}.version=2026-03-08-111111-{end}")]
    assert charts.edit("m", *args)[0] == only(("values-nav.yaml", text.format("2026-03-08-111111")), service="m")


def test_a_pin_beside_comments_and_odd_spacing(charts: Charts) -> None:
    """The line goes; what stands around it stays as it was written."""
    before = "# staging only\n\nmain_app:\n  # keep the order\n  version:  {}  # T1234\n  port:   3001\n\n\nother: 1"
    charts.service("s", values=values(A), values_staging=before.format(B))
    after = "# staging only\n\nmain_app:\n  # keep the order\n  port:   3001\n\n\nother: 1"
    assert charts.edit("s", B, "--unpin")[0] == only(
        ("values.yaml", values(B)), ("values-staging.yaml", after), service="s"
    )


TAGS = st.sampled_from([A, B, C, "v1.2.3", "v1.0.19", "1.35.9-1", "2026-03-01-101010", "4.15.0-2"])
LINES = st.lists(st.sampled_from(["x: 1", "# c", "", "y:\n  z: [1, 2]", "b: |\n  t: {}\n  u"]), max_size=3, unique=True)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_written_history_is_replayed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Files with anything around the tag: forth changes the tag's lines alone, back gives the first bytes."""
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    quote = data.draw(st.sampled_from(["", '"', "'"]))
    old, new = data.draw(st.lists(TAGS, min_size=2, max_size=2, unique=True))
    before, between, behind = (data.draw(LINES) for _ in range(3))
    comment = data.draw(st.sampled_from(["", " # c", "   "]))
    tail = [row for row in behind if row not in before]

    def text(tag: str) -> bytes:
        inner = [f"  p{i}: 1" for i in range(len(between))]
        lines = [*before, "main_app:", *inner, f"  version: {quote}{tag}{quote}{comment}", *tail]
        return (bom + end.join("\n".join(lines).split("\n")) + last).encode()

    bom, last = data.draw(st.sampled_from(["", "\ufeff"])), data.draw(st.sampled_from(["", end]))
    charts = Charts(tmp_path_factory.mktemp("history"))
    charts.service("s", values=text(old))
    changed, _ = charts.edit("s", new)
    assert changed == only(("values.yaml", text(new)), service="s")
    take(charts, changed)
    assert charts.edit("s", old)[0] == only(("values.yaml", text(old)), service="s")
