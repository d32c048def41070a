"""What the charts repository promises the core: the same for the fake, for git on disk and HTTP, and on Gerrit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from quarterdeck.adapters.git.charts import GitCharts
from quarterdeck.core.charts.reading.files import UNREADABLE
from quarterdeck.core.model.errors import AbsentError, PermanentError, QuarterdeckError, TemporaryError
from quarterdeck.core.ports.charts import Charts
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.repository import FakeRepository
from tests.servers.git_server import GitRepository, GitServer
from tests.servers.real_gerrit import RealGerrit, endpoints, prepare

S = "helmfile.d/services"
FILES = {
    f"{S}/citoid/values.yaml": b"main_app:\r\n  version: one\n# \xc3\xa9",
    f"{S}/citoid/helmfile.yaml": b"releases: []\n",
    f"{S}/shellbox/global.yaml": b"tag: one\n",
    f"{S}/shellbox/values.yaml": b"a: 1\n",
    f"{S}/constraints/values.yaml": b"b: 1\n",
    f"{S}/citoid-next/values.yaml": b"c: 1\n",
    f"{S}/README.md": b"not a service\n",
    "charts/citoid/Chart.yaml": b"name: citoid\n",
}
LINKS = {f"{S}/constraints/global.yaml": "../shellbox/global.yaml"}
REAL = {f"{S}/constraints/global.yaml": f"{S}/shellbox/global.yaml"}


class Bench:
    """A Charts, and the hand that commits."""

    charts: Charts

    async def commit(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        raise NotImplementedError


class FakeBench(Bench):
    def __init__(self) -> None:
        self.repository = FakeRepository(FILES, REAL)
        self.charts = FakeCharts(self.repository)

    async def commit(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return self.repository.push(files)


class GitBench(Bench):
    def __init__(self, folder: Path) -> None:
        self.repository = GitRepository(folder / "charts")
        self.repository.commit(FILES, LINKS)
        self.folder = folder / "data" / "charts.git"
        self.charts = self.again()

    def again(self, **more: str) -> GitCharts:
        """Another one on the same folder, as after a restart."""
        url = more.get("url", f"file://{self.repository.folder}")
        return GitCharts(url, more.get("branch", "master"), self.folder)

    async def commit(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return await asyncio.to_thread(self.repository.commit, files)


class RealBench(Bench):
    def __init__(self, gerrit: RealGerrit, folder: Path) -> None:
        self.gerrit = gerrit
        parts = urlsplit(gerrit.url)
        url = f"{gerrit.url}/a/{quote(gerrit.project)}"
        assert parts.scheme == "http"
        folder.joinpath("token").write_text(gerrit.passwords["contract-bot"] + "\n")
        self.charts = GitCharts(url, "master", folder / "charts.git", user="contract-bot", token_file=folder / "token")

    async def commit(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return await asyncio.to_thread(self.gerrit.push, files)


_real: list[RealGerrit] = []


@pytest.fixture(params=["fake", "git", pytest.param("real", marks=pytest.mark.sandbox)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Each of the three kinds."""
    if request.param == "fake":
        yield FakeBench()
    elif request.param == "git":
        yield GitBench(tmp_path)
    else:
        if not _real:
            _real.append(await asyncio.to_thread(prepare, endpoints()["gerrit"]))
        await asyncio.to_thread(_real[0].push, FILES | {"run": str(tmp_path).encode()})
        yield RealBench(_real[0], tmp_path)


@pytest.fixture
def git(tmp_path: Path) -> GitBench:
    """The adapter on a repository on disk."""
    return GitBench(tmp_path)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitServer]:
    """A repository behind HTTP and a password."""
    repository = GitRepository(tmp_path / "served")
    repository.commit(FILES, LINKS)
    async with GitServer(repository) as server:
        yield server


def at(server: GitServer, folder: Path, password: str = "sesame-77", timeout: float = 20.0) -> GitCharts:
    """The adapter at that server."""
    token = folder / "token"
    token.write_text(f"{password}\n")
    return GitCharts(server.url, "master", folder / "c.git", user=server.user, token_file=token, timeout=timeout)


async def test_the_tip_follows_the_branch(bench: Bench) -> None:
    """The tip is what was committed last, and every older tip stays readable."""
    first = await bench.charts.tip()
    second = await bench.commit({f"{S}/citoid/values.yaml": b"version: two\n"})
    assert await bench.charts.tip() == second
    old = await bench.charts.tree(first, "citoid")
    new = await bench.charts.tree(second, "citoid")
    assert old.files[f"{S}/citoid/values.yaml"] == FILES[f"{S}/citoid/values.yaml"]
    assert new.files[f"{S}/citoid/values.yaml"] == b"version: two\n"
    assert (old.commit, new.commit) == (first, second)


async def test_commits_are_read_in_any_order(bench: Bench) -> None:
    """What is remembered of one commit is not told of another."""
    commits = [await bench.commit({f"{S}/numbered/values-{number}.yaml": b"%d" % number}) for number in range(4)]
    await bench.charts.tip()
    for number in (0, 3, 0, 1, 3, 2, 0):
        tree = await bench.charts.tree(commits[number], "numbered")
        assert sum("values-" in path for path in tree.files) == number + 1
        assert tree.commit == commits[number]


async def test_a_tree_is_one_directory_byte_for_byte(bench: Bench) -> None:
    """A service's tree holds its own files, bytes as they are, and nobody else's."""
    tree = await bench.charts.tree(await bench.charts.tip(), "citoid")
    assert dict(tree.files) == {path: content for path, content in FILES.items() if path.startswith(f"{S}/citoid/")}
    assert dict(tree.links) == {}
    assert set(tree.sharers.values()) == {("citoid",)}


async def test_contains(bench: Bench) -> None:
    """A commit contains itself and what came before, not what came after, nor what nobody has."""
    first = await bench.charts.tip()
    second = await bench.commit({"charts/citoid/Chart.yaml": b"name: citoid\nversion: 2\n"})
    third = await bench.commit({"charts/citoid/Chart.yaml": b"name: citoid\nversion: 3\n"})
    assert await bench.charts.contains(third, first)
    assert await bench.charts.contains(third, second)
    assert await bench.charts.contains(second, second)
    assert not await bench.charts.contains(first, third)
    assert not await bench.charts.contains(third, "1" * 40)
    with pytest.raises(AbsentError):
        await bench.charts.contains("1" * 40, third)


@pytest.mark.parametrize("service", ["nothere", "README.md", "", "..", "citoid/values.yaml", "cito"])
async def test_what_is_no_directory_is_not_found(bench: Bench, service: str) -> None:
    """Only a directory below the services is a service."""
    with pytest.raises(AbsentError):
        await bench.charts.tree(await bench.charts.tip(), service)


async def test_unknown_commits_are_not_found(bench: Bench) -> None:
    """A commit that nobody has, or that is none, is not found."""
    await bench.charts.tip()
    for commit in ("1" * 40, "--help", "master"):
        with pytest.raises(AbsentError):
            await bench.charts.tree(commit, "citoid")


@pytest.mark.parametrize("kind", ["fake", "git"])
async def test_symlinks_show_who_shares(kind: str, tmp_path: Path) -> None:
    """A file reached by symlink belongs to the tree under its real path, with all who reach it."""
    bench = FakeBench() if kind == "fake" else GitBench(tmp_path)
    tip = await bench.charts.tip()
    tree = await bench.charts.tree(tip, "constraints")
    assert dict(tree.links) == REAL
    assert tree.files[f"{S}/shellbox/global.yaml"] == b"tag: one\n"
    assert tree.sharers[f"{S}/shellbox/global.yaml"] == ("constraints", "shellbox")
    assert tree.sharers[f"{S}/constraints/values.yaml"] == ("constraints",)
    assert tree.sharers[f"{S}/shellbox/values.yaml"] == ("shellbox",)
    other = await bench.charts.tree(tip, "shellbox")
    assert other.sharers[f"{S}/shellbox/global.yaml"] == ("constraints", "shellbox")
    assert dict(other.links) == REAL
    assert set(other.files) == set(tree.files)


async def test_odd_links(git: GitBench) -> None:
    """Chains and linked directories are followed; circles, the outside and nothing are there and cannot be read."""
    links = {
        f"{S}/odd/chain.yaml": "middle.yaml",
        f"{S}/odd/middle.yaml": "../constraints/global.yaml",
        f"{S}/odd/dir": "../../../charts/citoid",
        f"{S}/odd/circle.yaml": "circle.yaml",
        f"{S}/odd/outside.yaml": "../../../../../etc/passwd",
        f"{S}/odd/absolute.yaml": "/etc/passwd",
        f"{S}/odd/nothing.yaml": "gone.yaml",
        f"{S}/alias": "citoid",
    }
    files = {f"{S}/odd/values.yaml": b"x: 1\n", f"{S}/odd/logo.png": b"\x89PNG\0", f"{S}/odd/big": b"x" * (2 << 20)}
    await asyncio.to_thread(git.repository.commit, files, links)
    tip = await git.charts.tip()
    tree = await git.charts.tree(tip, "odd")
    assert dict(tree.links) == {
        f"{S}/odd/chain.yaml": f"{S}/shellbox/global.yaml",
        f"{S}/odd/dir/Chart.yaml": "charts/citoid/Chart.yaml",
        f"{S}/odd/middle.yaml": f"{S}/shellbox/global.yaml",
        **REAL,
    }
    own = {path for path in tree.files if not path.startswith((f"{S}/shellbox/", f"{S}/constraints/"))}
    lost = {f"{S}/odd/{name}.yaml" for name in ("circle", "outside", "absolute", "nothing")}
    assert own == {"charts/citoid/Chart.yaml", f"{S}/odd/values.yaml", *lost}
    assert {tree.files[path] for path in lost} == {UNREADABLE}
    alias = await git.charts.tree(tip, "alias")
    assert alias.sharers[f"{S}/citoid/values.yaml"] == ("alias", "citoid")
    assert alias.links[f"{S}/alias/values.yaml"] == f"{S}/citoid/values.yaml"


async def test_history_is_deepened_only_when_needed(git: GitBench) -> None:
    """The clone is shallow; a question about an older commit still gets the right answer."""
    first = await git.charts.tip()
    for number in range(120):
        last = await git.commit({"n": b"%d" % number})
    fresh = GitBench.again(git)
    fresh._folder = git.folder.with_name("other.git")
    assert await fresh.tip() == last
    assert (fresh._folder / "shallow").exists()
    assert await fresh.contains(last, first)
    assert not await fresh.contains(first, last)


async def test_a_restart_goes_on(git: GitBench) -> None:
    """Locks of a killed git and a broken clone do not stop the next process."""
    await git.charts.tip()
    for name in ("shallow.lock", "refs/quarterdeck/tip.lock", "HEAD.lock"):
        (git.folder / name).touch()
    second = await git.commit({"x": b"1"})
    assert await git.again().tip() == second
    (git.folder / "HEAD").write_text("rubbish")
    assert await git.again().tip() == second


async def test_the_branch_may_be_rewritten(git: GitBench) -> None:
    """A forced push moves the tip all the same."""
    await git.commit({"x": b"1"})
    await git.charts.tip()
    await asyncio.to_thread(git.repository.git, "reset", "--quiet", "--hard", "HEAD~1")
    other = await git.commit({"x": b"2"})
    assert await git.charts.tip() == other


async def test_a_missing_branch_or_repository_is_permanent(git: GitBench) -> None:
    """What is wrong in the settings is said at once."""
    with pytest.raises(PermanentError):
        await git.again(branch="nope").tip()
    with pytest.raises(PermanentError):
        await git.again(url=f"file://{git.folder}/nope").tip()


async def test_the_token_is_in_no_command_line(server: GitServer, tmp_path: Path) -> None:
    """The token reaches the server, and no list of processes shows it."""
    charts = at(server, tmp_path)
    tip = await charts.tip()
    assert (await charts.tree(tip, "citoid")).files
    assert server.fetches
    assert server.seen == []


async def test_a_new_token_is_read(server: GitServer, tmp_path: Path) -> None:
    """A refused token is permanent and not shown; a new one in the file works without a restart."""
    charts = at(server, tmp_path, "wrong-88")
    with pytest.raises(PermanentError) as caught:
        await charts.tip()
    assert "wrong-88" not in str(caught.value)
    (tmp_path / "token").write_text(server.password)
    assert await charts.tip()
    (tmp_path / "token").unlink()
    with pytest.raises(PermanentError, match="token"):
        await charts.tip()


async def test_the_token_follows_no_redirect(server: GitServer, tmp_path: Path) -> None:
    """Another host is never asked."""
    server.action = "redirect"
    with pytest.raises(QuarterdeckError):
        await at(server, tmp_path).tip()
    assert server.elsewhere == 0


@pytest.mark.parametrize(
    ("action", "error"), [("500", TemporaryError), ("503", TemporaryError), ("404", PermanentError)]
)
async def test_server_errors(server: GitServer, tmp_path: Path, action: str, error: type[QuarterdeckError]) -> None:
    """What passes by is temporary, what does not is permanent; afterwards it works."""
    charts = at(server, tmp_path)
    server.action = action
    with pytest.raises(error):
        await charts.tip()
    server.action = ""
    assert await charts.tip()


async def test_a_hung_server_has_a_deadline(server: GitServer, tmp_path: Path) -> None:
    """A git that does not end is ended, with its helpers."""
    server.action = "hang"
    with pytest.raises(TemporaryError, match="did not end"):
        await at(server, tmp_path, timeout=0.5).tip()


async def test_nobody_there(tmp_path: Path) -> None:
    """A closed port is a temporary error."""
    with pytest.raises(TemporaryError):
        await GitCharts("http://127.0.0.1:9/x", "master", tmp_path / "c.git").tip()
