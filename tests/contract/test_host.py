"""Holds the deploy host and its fake to one contract: what is shown is what is applied, or nothing is."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from quarterdeck.adapters.deploy_host.helmfile import HelmfileHost
from quarterdeck.core.cluster import jobs, releases
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.runner import JobState
from quarterdeck.testing.runner import FakeJob, FakeRunner
from tests.servers.host_place import BODY, WHERE, Memory, Place, stub_place
from tests.servers.ssh_server import SshServer


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    """One sshd for all tests here."""
    server = SshServer()
    yield server
    server.close()


@pytest.fixture
async def stubs(server: SshServer) -> AsyncIterator[Place]:
    """The SSH host alone."""
    async with stub_place(server) as place:
        yield place


@pytest.fixture(params=["fake", "stubs"])
async def place(request: pytest.FixtureRequest, server: SshServer) -> AsyncIterator[Place]:
    """Both, one after the other."""
    if request.param == "stubs":
        async with stub_place(server) as place:
            yield place
        return
    world = Memory()
    yield Place(world.host, world.runner, world)
    await world.runner.close()


async def test_where_the_checkout_stands(place: Place) -> None:
    """HEAD, the host's incarnation, and which commits it has."""
    position = await place.host.position()
    assert position.commit == place.world.newer
    assert position.host == (await place.runner.status("none")).host
    assert position.problem == ""
    assert await place.host.has_commit(place.world.newer)
    assert await place.host.has_commit(place.world.older)
    assert not await place.host.has_commit("d" * 40)


async def test_which_releases_there_are(place: Place) -> None:
    """What helmfile would install, with what is live of it, and what runs in its namespace."""
    place.world.live("canary", 0, "")
    found = {r.name: r for r in await place.host.releases(*WHERE)}
    assert set(found) == {"main", "canary"}
    assert (found["main"].revision, found["main"].status) == (4, "deployed")
    assert (found["canary"].revision, found["canary"].status) == (0, "")
    assert {r.namespace for r in found.values()} == {"citoid-staging"}
    assert list(await place.host.objects(*WHERE)) == [{"kind": "Pod"}]


async def test_a_diff_job_leaves_what_an_apply_is_pinned_to(place: Place) -> None:
    """Law 8: the text, its status, its digest, each release's part and revision."""
    expected = await place.diff()
    assert BODY in (await place.runner.read("diff", "diff")).decode()
    assert await place.runner.read("diff", "diff.status") == b"2\n"
    assert set(expected) == {"diff", "diff.main", "diff.canary", "revision.main", "revision.canary"}
    assert expected["revision.main"] == "4"


async def test_what_was_shown_is_applied(place: Place) -> None:
    """The same diff, the same revisions: the release moves on by one, and the job says so."""
    assert await place.apply(await place.diff()) == 0
    assert await place.applied()
    found = releases.releases(
        await place.runner.read("apply", "releases.json"), await place.runner.read("apply", "revisions.json")
    )
    assert {r.name: r.revision for r in found} == {"main": 5, "canary": 4}


async def test_another_diff_is_not_applied(place: Place) -> None:
    """Law 8: the diff changed since it was shown: status 76, the new one kept, nothing applied."""
    expected = await place.diff()
    place.world.body("main", BODY + "+   other: thing\n")
    assert await place.apply(expected) == jobs.DIFFERS
    assert not await place.applied()
    assert b"other: thing" in await place.runner.read("apply", "diff")


async def test_a_stage_compares_its_own_releases(place: Place) -> None:
    """After the canary's stage its part of the diff is gone; the next stage still is what was shown."""
    place.world.body("canary", BODY)
    expected = await place.diff()
    assert await place.apply(expected, ("canary",), "canary") == 0
    assert await place.apply(expected, ("main",), "main") == 0


async def test_the_whole_diff_counts_without_parts(place: Place) -> None:
    """Where only the digest of all is given, all of it must be as it was."""
    expected = await place.diff()
    whole = {key: value for key, value in expected.items() if not key.startswith("diff.")}
    place.world.body("canary", BODY)
    assert await place.apply(whole, job="first") == jobs.DIFFERS
    place.world.body("canary", "")
    assert await place.apply(whole, job="second") == 0


async def test_a_release_that_moved_is_not_applied(place: Place) -> None:
    """Somebody else applied since the diff: status 77, nothing applied."""
    expected = await place.diff()
    place.world.live("main", 5, "deployed")
    assert await place.apply(expected) == jobs.MOVED
    assert not await place.applied()


async def test_a_pending_release_is_not_applied(place: Place) -> None:
    """A helm that runs or died holds the release: status 77."""
    place.world.live("main", 4, "pending-upgrade")
    expected = await place.diff()
    assert await place.apply(expected) == jobs.MOVED


async def test_a_held_lock_refuses_and_names_the_holder(place: Place) -> None:
    """Two applies of one service and environment never run together: status 75, with the holder's name."""
    expected = await place.diff()
    who = await place.world.hold()
    assert await place.apply(expected) == jobs.HELD
    assert who in (await place.runner.read("apply", "log")).decode()
    assert not await place.applied()


# the real scripts over stand-in programs


async def test_the_commands_are_the_agreed_ones(stubs: Place) -> None:
    """Secrets hidden, our label on the release, no SAL line of helmfile's own, the deploy kubeconfig for helm."""
    assert await stubs.apply(await stubs.diff()) == 0
    calls = stubs.world.calls()
    assert "helmfile --no-color -e staging diff --detailed-exitcode --concurrency 1" in calls
    assert (
        "helmfile --no-color -e staging -l name=main apply --suppress-secrets --context 3"
        " --sync-args --labels quarterdeck=abc" in calls
    )
    assert "SUPPRESS_SAL=true" in calls
    config = "--kubeconfig /etc/k8s of ours/citoid-deploy-staging.config"
    # in the diff, before the apply and after it
    assert calls.count(f"helm list -a --output json {config} --namespace citoid-staging") == 3
    await stubs.host.objects(*WHERE)
    assert "kubectl --kubeconfig /etc/k8s of ours/citoid-staging.config" in stubs.world.calls()[-1]


async def test_a_release_carries_its_note_and_labels(stubs: Place) -> None:
    """Helm's note on the live revision and our label are read."""
    main = (await stubs.host.releases(*WHERE))[0]
    assert (main.description, dict(main.labels)) == ("Upgrade complete", {"name": "main", "quarterdeck": "abc"})


async def test_the_export_is_the_pinned_commit(stubs: Place) -> None:
    """What the checkout is moved to after the diff changes nothing in the export."""
    await stubs.diff()
    stubs.world.commit("charts/app/Chart.yaml", "three")
    export = stubs.world.folder / "jobs" / "diff" / "export"
    assert (export / "charts" / "app" / "Chart.yaml").read_text() == "two"


async def test_a_preview_lays_edited_files_over_the_export(stubs: Place) -> None:
    """Edited files stand in the export byte for byte; nothing outside of it can be named."""
    edit = {"helmfile.d/services/citoid/new file.yaml": b"a: '\xff\r\n", "charts/app/Chart.yaml": b""}
    status = await stubs.run("preview", stubs.host.diff_script(*WHERE, stubs.world.newer, edit))
    assert status.status == 0
    export = stubs.world.folder / "jobs" / "preview" / "export"
    assert {path: (export / path).read_bytes() for path in edit} == edit
    for path in ("/etc/x", "../x"):
        with pytest.raises(PermanentError, match="no path"):
            stubs.host.diff_script(*WHERE, stubs.world.newer, {path: b""})


async def test_why_a_pull_fails_is_said(stubs: Place) -> None:
    """A changed file and a lock left behind are named."""
    (stubs.world.charts / "charts/app/Chart.yaml").write_text("by hand")
    assert "charts/app/Chart.yaml" in (await stubs.host.position()).problem
    (stubs.world.charts / ".git/index.lock").touch()
    assert "index.lock is there" in (await stubs.host.position()).problem


async def test_an_unreachable_cluster_is_no_verdict(stubs: Place) -> None:
    """Helm and kubectl that cannot read are TemporaryError; a diff job says "not taken", an apply applies nothing."""
    expected = await stubs.diff()
    await stubs.host.releases(*WHERE)
    (stubs.world.state / "down").touch()
    with pytest.raises(TemporaryError, match="unreachable"):
        await stubs.host.releases(*WHERE)
    with pytest.raises(TemporaryError, match="refused"):
        await stubs.host.objects(*WHERE)
    job = await stubs.run("second", stubs.host.diff_script(*WHERE, stubs.world.newer))
    assert job.status == jobs.UNREADY
    assert await stubs.apply(expected) == jobs.UNREADY


async def test_a_diff_that_fails_is_no_diff(stubs: Place) -> None:
    """Any status of helmfile diff but 0 and 2 ends both jobs before anything is touched."""
    expected = await stubs.diff()
    (stubs.world.state / "diff.code").write_text("1")
    job = await stubs.run("second", stubs.host.diff_script(*WHERE, stubs.world.newer))
    assert job.status == jobs.UNREADY
    assert b"helmfile diff ended with 1" in await stubs.runner.read("second", "log")
    assert await stubs.apply(expected) == jobs.UNREADY
    assert not await stubs.applied()


async def test_a_diff_cut_short_by_a_full_disk_is_no_diff() -> None:
    """A diff that could not be written whole ends the job as "not taken", though helmfile says 2."""
    server = SshServer(blocks=64)
    try:
        async with stub_place(server) as place:
            place.world.body("main", BODY * 2000)
            job = await place.run("full", place.host.diff_script(*WHERE, place.world.newer))
            assert job.status == jobs.UNREADY
    finally:
        server.close()


async def test_an_export_that_is_gone_applies_nothing(stubs: Place) -> None:
    """An apply runs from the diff's own export or not at all."""
    expected = await stubs.diff()
    shutil.rmtree(stubs.world.folder / "jobs" / "diff" / "export")
    assert await stubs.apply(expected) == jobs.UNREADY


async def test_a_lock_that_cannot_be_opened_applies_nothing_and_says_so(stubs: Place) -> None:
    """The shell would end at such a redirection by itself, with a status that looks like helmfile's."""
    expected = await stubs.diff()
    (stubs.world.folder / "locks" / "citoid.staging.lock").mkdir(parents=True)
    assert await stubs.apply(expected) == jobs.UNREADY
    assert "no lock at" in (await stubs.runner.read("apply", "log")).decode()
    assert not await stubs.applied()


async def test_a_commit_or_service_that_is_not_there(stubs: Place) -> None:
    """The job says what is missing."""
    for job, service, commit in (("a", "citoid", "d" * 40), ("b", "other", stubs.world.newer)):
        status = await stubs.run(job, stubs.host.diff_script(service, "staging", commit))
        assert status.status == jobs.UNREADY
    assert b"has no commit" in await stubs.runner.read("a", "log")
    assert b"no such service" in await stubs.runner.read("b", "log")
    with pytest.raises(PermanentError, match="environment not found"):
        await stubs.host.releases("citoid", "nowhere")


@pytest.mark.parametrize(("code", "told"), [(1, 1), (76, 1), (130, 130)])
async def test_helmfiles_own_status_is_told(stubs: Place, code: int, told: int) -> None:
    """A failing apply ends with helmfile's status, never with one of ours, and revisions are read again."""
    stubs.world.on_apply(f"exit {code}\n")
    assert await stubs.apply(await stubs.diff()) == told
    assert await stubs.applied()
    assert b'"revision":"4"' in await stubs.runner.read("apply", "revisions.json")


async def test_a_stop_while_helmfile_applies_waits_for_its_way_back(stubs: Place) -> None:
    """Law 10: SIGINT reaches helmfile; the job runs on until helmfile ended, and tells its status."""
    stubs.world.on_apply("trap 'echo going back; sleep 0.5; exit 1' INT\necho applying\nsleep 30\n")
    expected = await stubs.diff()
    script = stubs.host.apply_script(*WHERE, ("main",), expected, {"export": "diff", "id": "abc"})
    log = bytearray()
    begun = asyncio.Event()

    async def keep(_offset: int, chunk: bytes) -> None:
        log.extend(chunk)
        if b"applying\n" in log:
            begun.set()

    await stubs.runner.start("apply", script)
    following = asyncio.create_task(stubs.runner.follow("apply", 0, keep))
    async with asyncio.timeout(15):
        await begun.wait()
        await stubs.runner.stop("apply")
        status = await following
    assert (status.state, status.status) == (JobState.DONE, 1)
    assert b"going back" in log


async def test_a_stop_before_the_apply_applies_nothing(stubs: Place) -> None:
    """Law 10: stopped while it still compares, the job ends with 130 and has touched nothing."""
    expected = await stubs.diff()
    helmfile = stubs.world.folder / "bin" / "helmfile"
    slow = helmfile.read_text().replace("    list)", "    list) echo listing >&2; sleep 5;")
    helmfile.write_text(slow)
    script = stubs.host.apply_script(*WHERE, ("main",), expected, {"export": "diff", "id": "abc"})
    await stubs.runner.start("apply", script)
    begun = asyncio.Event()

    async def keep(_offset: int, chunk: bytes) -> None:
        if b"listing" in chunk:
            begun.set()

    following = asyncio.create_task(stubs.runner.follow("apply", 0, keep))
    async with asyncio.timeout(15):
        await begun.wait()
        await stubs.runner.stop("apply")
        assert (await following).status == 130
    assert not await stubs.applied()


async def test_nobody_slips_words_into_the_shell(stubs: Place) -> None:
    """Names, commits and digests that are none are refused before any text is made of them."""
    bad = "x; touch /tmp/owned"
    digest = {"diff": "0" * 64}
    for attempt in (
        lambda: stubs.host.diff_script(bad, "staging", "a" * 40),
        lambda: stubs.host.diff_script("citoid", bad, "a" * 40),
        lambda: stubs.host.diff_script("citoid", "staging", bad),
        lambda: stubs.host.apply_script(*WHERE, (bad,), digest, {"export": "diff"}),
        lambda: stubs.host.apply_script(*WHERE, (), {"diff": bad}, {"export": "diff"}),
        lambda: stubs.host.apply_script(*WHERE, (), {}, {"export": "diff"}),
        lambda: stubs.host.apply_script(*WHERE, (), digest, {"export": "diff", "id": bad}),
        lambda: stubs.host.by_hand(bad, "staging"),
    ):
        with pytest.raises(PermanentError):
            attempt()
    for fact in ("export", "note"):
        order = stubs.host.apply_script(*WHERE, (), digest, {"export": "diff", fact: "/a/'; touch owned; '"})
        assert subprocess.run(["sh", "-n"], input=order.encode(), check=False).returncode == 0


def test_what_a_person_types_for_the_same() -> None:
    """By hand: the directory, the diff, the apply."""
    host = HelmfileHost(FakeRunner(), charts="/srv/deployment-charts", jobs_dir="~/.quarterdeck/jobs")
    assert host.by_hand("citoid", "staging") == (
        "cd /srv/deployment-charts/helmfile.d/services/citoid",
        "git log -1 --oneline",
        "helmfile -e staging diff --context 5 --suppress-secrets",
        "helmfile -e staging apply --context 5 --suppress-secrets",
        "helmfile -e staging status",
    )


async def test_a_fake_apply_may_fail() -> None:
    """The fake host lets a test play what helmfile does."""

    async def fail(job: FakeJob, names: object) -> int:
        await job.write("Error: UPGRADE FAILED\n")
        return 1

    world = Memory()
    place = Place(world.host, world.runner, world)
    expected = await place.diff()
    world.host.applying = fail
    assert await place.apply(expected) == 1
    assert await place.applied()
    assert {r.revision for r in await world.host.releases(*WHERE)} == {4}
    await world.runner.close()
