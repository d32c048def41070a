"""Every service of a real charts repository (CHARTS=DIR): git gives the engine what the checkout on disk gives it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from quarterdeck.adapters.git.charts import GitCharts
from quarterdeck.cli.checkout import Checkout
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest
from quarterdeck.core.charts.reading.files import FileTree, ParsedFiles
from quarterdeck.core.charts.reading.parts import image_groups
from quarterdeck.core.charts.reading.release_tags import ServiceTags, service_tags
from quarterdeck.core.charts.reading.service_files import read_service, service_names
from quarterdeck.core.ports.charts import Tree
from tests.servers.git_server import GitRepository

CHARTS = os.environ.get("CHARTS", "")
GROUPS = ("services", "ml-services", "dse-k8s-services", "aux-k8s-services")
NEW = "2031-12-24-180000-oracle"

pytestmark = pytest.mark.skipif(not CHARTS, reason="CHARTS=DIR names a checkout of the real charts repository")


@dataclass
class Both:
    """A group of services on disk, and the same in git."""

    services_dir: str
    disk: Checkout
    git: GitCharts
    commit: str

    @property
    def services(self) -> tuple[str, ...]:
        """Their names."""
        return service_names(self.disk, self.services_dir)

    async def tree(self, service: str) -> Tree:
        """A service's tree from git."""
        return await self.git.tree(self.commit, service)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """The checkout as a git repository; links that stand there as small texts are links."""
    made = GitRepository(tmp_path_factory.mktemp("oracle") / "charts")
    ignored = shutil.ignore_patterns(".git")
    shutil.copytree(
        CHARTS, made.folder, symlinks=True, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=ignored
    )
    for folder, _, _ in os.walk(made.folder):
        Path(folder).chmod(0o755)
    for group in GROUPS:
        for link in Checkout(made.folder, f"helmfile.d/{group}").links:
            place = made.folder / link
            if not place.is_symlink() and place.resolve() == place:
                text = place.read_text()
                place.unlink()
                place.symlink_to(text)
    made.commit({})
    return made


@pytest.fixture(params=GROUPS)
async def both(request: pytest.FixtureRequest, repository: GitRepository, tmp_path: Path) -> Both:
    """Each group of services that is there."""
    services_dir = f"helmfile.d/{request.param}"
    disk = await asyncio.to_thread(Checkout, Path(CHARTS), services_dir)
    if not service_names(disk, services_dir):
        pytest.skip(f"this checkout has no {services_dir}")
    git = GitCharts(f"file://{repository.folder}", "master", tmp_path / "charts.git", services_dir=services_dir)
    return Both(services_dir, disk, git, await git.tip())


def found(tree: FileTree, services_dir: str, service: str) -> ServiceTags:
    """All about a service's tags."""
    parsed = ParsedFiles(tree)
    loaded = read_service(parsed, services_dir, service)
    assert loaded is not None
    return service_tags(parsed, loaded)


def requests(tree: FileTree, services_dir: str, service: str) -> Iterator[BumpRequest]:
    """A bump of everything, of each part, of each environment, and a pin there."""
    parsed = ParsedFiles(tree)
    loaded = read_service(parsed, services_dir, service)
    assert loaded is not None
    yield BumpRequest(services_dir, service, NEW)
    for part in image_groups(loaded, service_tags(parsed, loaded)):
        yield BumpRequest(services_dir, service, NEW, part.name)
        for environment in loaded.environments:
            yield BumpRequest(services_dir, service, NEW, part.name, environments=(environment,))
            yield BumpRequest(services_dir, service, NEW, part.name, environments=(environment,), pin=True)


def told(outcome: BumpOutcome | None) -> object:
    """What must be the same."""
    assert outcome is not None
    return outcome.changes, outcome.side_effects, outcome.before, outcome.after, outcome.notes, outcome.obstacles


async def test_the_rows_are_the_same(both: Both) -> None:
    """Release by release: the same scalar of the same file decides."""
    rows = 0
    for service in both.services:
        want = found(both.disk, both.services_dir, service)
        assert found(await both.tree(service), both.services_dir, service) == want, service
        rows += len(want.release_tags)
    print(f"{len(both.services)} services, {rows} rows")


async def test_a_bump_of_a_shared_file_is_the_same(both: Both) -> None:
    """The same bytes change, and the same other services move or are in the way."""
    asked = shared = moved = 0
    for service in both.services:
        tree = await both.tree(service)
        assert {path: both.disk.sharers[path] for path in tree.files} == tree.sharers
        if all(who == (service,) for who in tree.sharers.values()):
            continue
        shared += 1
        for request in requests(both.disk, both.services_dir, service):
            outcome = bump(ParsedFiles(tree), request)
            assert told(outcome) == told(bump(ParsedFiles(both.disk), request)), request
            asked += 1
            moved += bool(outcome and {effect.service for effect in outcome.side_effects} - {service})
    print(f"{shared} services share files; {asked} bumps, {moved} of them move others")
