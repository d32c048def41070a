"""A service's tree holds what an edit of a shared file has an effect on: the same for the fake and for git."""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quarterdeck.adapters.git.charts import GitCharts
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.release_tags import service_tags
from quarterdeck.core.charts.reading.service_files import read_service
from quarterdeck.core.ports.charts import Charts, Tree
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.repository import FakeRepository
from tests.servers.git_server import GitRepository

S = "helmfile.d/services"
HELMFILE = b"""\
environments:
  eqiad:
    values:
      - releases: [main]
bases:
  - ../global.yaml

---
releases:
  - name: main
    chart: wmf-stable/x
    values:
      - values.yaml
"""
COMMON = HELMFILE + b'      - "../_common_/values-{{ .Environment.Name }}.yaml"\n'
TAG = b"main_app:\n  version: one\n"
FILES = {
    f"{S}/global.yaml": b"helmBinary: helm3\n",
    **{f"{S}/{name}/helmfile.yaml": COMMON for name in ("alpha", "beta")},
    **{f"{S}/{name}/helmfile.yaml": HELMFILE for name in ("gamma", "delta", "lonely")},
    **{f"{S}/{name}/values.yaml": b"main_app:\n  port: 1\n" for name in ("alpha", "delta")},
    f"{S}/beta/values.yaml": TAG,
    f"{S}/lonely/values.yaml": TAG,
    f"{S}/_common_/values-eqiad.yaml": TAG,
    f"{S}/_common_/helmfile.yaml": COMMON,
    f"{S}/_common_/notes.txt": b"of nobody\n",
}
LINKS = {f"{S}/gamma/values.yaml": "../beta/values.yaml"}

Build = Callable[[dict[str, bytes], dict[str, str]], Awaitable[Charts]]


@pytest.fixture(params=["fake", "git"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Makes a charts repository of files and relative symlinks."""

    async def make(files: dict[str, bytes], links: dict[str, str]) -> Charts:
        if request.param == "fake":
            ends = {link: posixpath.normpath(posixpath.join(posixpath.dirname(link), to)) for link, to in links.items()}
            return FakeCharts(FakeRepository(files, ends))
        repository = GitRepository(tmp_path / "charts")
        await asyncio.to_thread(repository.commit, files, links)
        return GitCharts(f"file://{repository.folder}", "master", tmp_path / "charts.git")

    return make


async def trees(charts: Charts, *services: str) -> list[Tree]:
    """The services' trees at the tip."""
    tip = await charts.tip()
    return [await charts.tree(tip, service) for service in services]


async def test_what_a_helmfile_names_outside_is_in_the_tree(build: Build) -> None:
    """With an expression as a wildcard; the helmfile's own bases are no values, and other files there are not."""
    (tree,) = await trees(await build(FILES, LINKS), "alpha")
    assert tree.files[f"{S}/_common_/values-eqiad.yaml"] == TAG
    assert f"{S}/global.yaml" not in tree.files
    assert f"{S}/_common_/notes.txt" not in tree.files


async def test_sharers_are_counted_all_three_ways(build: Build) -> None:
    """Whose folder it is, who links to it, whose helmfile names it; a folder in underscores is no service."""
    alpha, beta = await trees(await build(FILES, LINKS), "alpha", "beta")
    assert alpha.sharers[f"{S}/_common_/values-eqiad.yaml"] == ("alpha", "beta")
    assert alpha.sharers[f"{S}/alpha/values.yaml"] == ("alpha",)
    assert beta.sharers[f"{S}/beta/values.yaml"] == ("beta", "gamma")


async def test_those_who_share_are_there_too_and_nobody_behind_them(build: Build) -> None:
    """Their folders, links and sharers; who shares only with them is no part of it."""
    alpha, beta, lonely = await trees(await build(FILES, LINKS), "alpha", "beta", "lonely")
    assert {path.split("/")[2] for path in alpha.files} == {"alpha", "beta", "_common_"}
    assert alpha.sharers[f"{S}/beta/values.yaml"] == ("beta", "gamma")
    assert dict(alpha.links) == {}
    assert {path.split("/")[2] for path in beta.files} == {"alpha", "beta", "gamma", "_common_"}
    assert dict(beta.links) == {f"{S}/gamma/values.yaml": f"{S}/beta/values.yaml"}
    assert {path.split("/")[2] for path in lonely.files} == {"lonely"}
    assert set(alpha.sharers) == set(alpha.files)


async def test_a_linked_folder_is_a_link_for_each_file_in_it(build: Build) -> None:
    """Also to the end of a link that stands in it."""
    links = {f"{S}/delta/extra": "../../../lib/conf", "lib/conf/values.yaml": "../base.yaml"}
    files = {**FILES, "lib/base.yaml": TAG, "lib/conf/more.yaml": b"a: 1\n"}
    (tree,) = await trees(await build(files, links), "delta")
    assert dict(tree.links) == {
        f"{S}/delta/extra/more.yaml": "lib/conf/more.yaml",
        f"{S}/delta/extra/values.yaml": "lib/base.yaml",
    }
    assert tree.sharers["lib/base.yaml"] == ("delta",)
    assert set(tree.files) >= {"lib/base.yaml", "lib/conf/more.yaml"}


async def test_the_old_layout_has_a_folder_for_each_environment(build: Build) -> None:
    """All of a service's folders are in its tree; who shares is counted by the service's name."""
    files = {
        **{f"{S}/{env}/{name}/helmfile.yaml": HELMFILE for env in ("staging", "codfw") for name in ("old", "other")},
        f"{S}/staging/old/values.yaml": TAG,
        f"{S}/codfw/old/values.yaml": TAG,
        f"{S}/new/helmfile.yaml": HELMFILE + b"      - ../staging/old/values.yaml\n",
    }
    links = {f"{S}/staging/other/values.yaml": "../old/values.yaml"}
    old, new = await trees(await build(files, links), "old", "new")
    assert old.sharers[f"{S}/staging/old/values.yaml"] == ("new", "old", "other")
    assert old.sharers[f"{S}/codfw/old/values.yaml"] == ("old",)
    assert set(old.files) == set(files)
    assert f"{S}/codfw/old/values.yaml" in new.files


async def test_the_effect_on_others_can_be_computed_from_the_tree(build: Build) -> None:
    """The engine finds the rows of those who share, and names what would move."""
    (tree,) = await trees(await build(FILES, LINKS), "alpha")
    outcome = bump(ParsedFiles(tree), BumpRequest(S, "alpha", "two"))
    assert outcome is not None
    assert [change.path for change in outcome.changes] == [f"{S}/_common_/values-eqiad.yaml"]
    assert [(effect.service, effect.environment) for effect in outcome.side_effects] == [("beta", "eqiad")]
    parsed = ParsedFiles(tree)
    beta = read_service(parsed, S, "beta")
    assert beta is not None
    assert [row.scalar.file for row in service_tags(parsed, beta).release_tags] == [f"{S}/_common_/values-eqiad.yaml"]
