"""What the Gerrit adapter makes of failures and traps that a real server does not produce on demand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.adapters.gerrit.changes import comment_of
from quarterdeck.adapters.gerrit.review import GerritReview
from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import ConflictError, PermanentError, QuarterdeckError, TemporaryError
from tests.servers.fake_gerrit import FakeGerrit
from tests.servers.fake_gerrit_entities import Fault
from tests.servers.review_bench import ServerBench, blob


@pytest.fixture
async def server() -> AsyncIterator[FakeGerrit]:
    """The small server, for what a real one does not do on demand."""
    async with FakeGerrit() as server:
        yield server


@pytest.fixture
async def at_server(server: FakeGerrit) -> AsyncIterator[ServerBench]:
    """The adapter at the small server, in a hurry."""
    bench = ServerBench(server, timeout=0.4)
    yield bench
    await bench.adapter.close()


def test_a_display_name_makes_nobody_the_ci() -> None:
    """An account without username may call itself as it likes; whose comments count is a matter of usernames."""
    info = {"id": "1", "date": "2026-08-17 09:45:55.000000000", "message": "pipeline-build-result: SUCCESS"}
    assert comment_of({**info, "author": {"_account_id": 7, "name": "PipelineBot"}}).author == "#7"
    assert comment_of({**info, "author": {"_account_id": 8, "username": "pipelinebot"}}).author == "pipelinebot"
    assert comment_of(info).author == ""


@pytest.mark.parametrize("action", ["lost", "cut", "done-500", "status", "hang"])
@pytest.mark.parametrize("write", range(6))
async def test_propose_goes_on_after_any_broken_write(at_server: ServerBench, write: int, action: str) -> None:
    """Whichever write is lost, and on whichever side of its effect: one change, with our content."""
    server = at_server.server
    server.faults.append(Fault(r"^(POST|PUT|DELETE) ", action, skip=write, times=1))
    files = {"values.yaml": b"tag: two\n", "other.yaml": b"a: 2\n", "third.yaml": b"b: 1\n"}
    draft = at_server.draft(server.repository.head, files)
    change = None
    for _ in range(3):
        try:
            change = await at_server.review.propose(draft)
            break
        except TemporaryError:
            continue
    assert change
    assert {path: f[1] for path, f in change.files.items()} == {p: blob(c) for p, c in files.items()}
    assert len(server.records) == 1
    assert len(server.records[change.number].patch_sets) == 2
    assert not server.faults


@pytest.mark.parametrize("action", ["hang", "done-hang"])
@pytest.mark.parametrize("stop", range(1, 8))
async def test_propose_goes_on_after_death(at_server: ServerBench, stop: int, action: str) -> None:
    """A proposal that dies after any request is finished by another process with the same draft."""
    server = at_server.server
    draft = at_server.draft(server.repository.head, {"values.yaml": b"tag: two\n", "other.yaml": b"a: 2\n"})
    server.faults.append(Fault(".", action, skip=stop, times=1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await at_server.review.propose(draft)
    successor = GerritReview(server.url, server.user, server.token, timeout=2, pause=0.01)
    change = await successor.propose(draft)
    await successor.close()
    assert set(change.files) == set(draft.files)
    assert len(server.records) == 1


async def test_an_old_edit_is_dropped(at_server: ServerBench) -> None:
    """An edit left by a crash never brings files that were not drafted."""
    server = at_server.server
    draft = at_server.draft(server.repository.head, {"values.yaml": b"tag: two\n"})
    server.faults.append(Fault("PUT ", "status", status=403))
    with pytest.raises(PermanentError):
        await at_server.review.propose(draft)
    (record,) = server.records.values()
    record.edit = {**record.current.files, "stray.yaml": b"x"}
    change = await at_server.review.propose(draft)
    assert set(change.files) == {"values.yaml"}


async def test_a_lost_index_makes_no_second_change(at_server: ServerBench) -> None:
    """Where the index lost our change but knows its Change-Id, we wait and make no other."""
    server = at_server.server
    draft = at_server.draft(server.repository.head)
    await at_server.review.propose(draft)
    server.index_lost = True
    with pytest.raises(TemporaryError):
        await at_server.review.propose(draft)
    assert len(server.records) == 1


@pytest.mark.parametrize("action", ["lost", "done-500", "cut", "status"])
async def test_submit_looks_again_after_an_error(at_server: ServerBench, action: str) -> None:
    """A submit that answers 500 or not at all is judged by what became of the change."""
    change = await at_server.review.approve(
        await at_server.review.propose(at_server.draft(await at_server.head())), "go"
    )
    await at_server.vote(change.number, "Verified", 2)
    at_server.server.faults.append(Fault("/submit$", action))
    if action in {"lost", "done-500"}:
        assert (await at_server.review.submit(change)).status is ChangeStatus.MERGED
    else:
        with pytest.raises(TemporaryError):
            await at_server.review.submit(change)
        assert (await at_server.review.submit(change)).status is ChangeStatus.MERGED


async def test_parallel_submits_all_succeed(at_server: ServerBench) -> None:
    """Whoever submitted first: every one of us sees it merged."""
    change = await at_server.review.approve(
        await at_server.review.propose(at_server.draft(await at_server.head())), "go"
    )
    await at_server.vote(change.number, "Verified", 2)
    done = await asyncio.gather(*(at_server.review.submit(change) for _ in range(4)))
    assert {c.status for c in done} == {ChangeStatus.MERGED}


@pytest.mark.parametrize("action", ["lost", "done-500"])
async def test_a_vote_without_answer_is_looked_for(at_server: ServerBench, action: str) -> None:
    """A vote that was taken counts, although its answer was lost."""
    change = await at_server.review.propose(at_server.draft(await at_server.head()))
    at_server.server.faults.append(Fault("/review$", action))
    voted = await at_server.review.approve(change, "go")
    assert [(v.label, v.value) for v in voted.votes] == [("Code-Review", 2)]


async def test_a_dropped_vote_is_no_vote(at_server: ServerBench) -> None:
    """Gerrit answers 200 to a vote out of range and drops it: that is a refusal."""
    change = await at_server.review.propose(at_server.draft(await at_server.head()))
    at_server.server.labels["Code-Review"] = (-1, 1)
    with pytest.raises(PermanentError, match="dropped our Code-Review"):
        await at_server.review.approve(change, "go")


async def test_a_vote_never_counts_for_another_patch_set(at_server: ServerBench) -> None:
    """A patch set that comes in between our look and our vote is a conflict, and got no vote of ours."""
    server = at_server.server
    change = await at_server.review.propose(at_server.draft(server.repository.head))
    server.before_vote = lambda record: server.upload(record, {"values.yaml": b"evil\n"}, "mallory")
    with pytest.raises(ConflictError):
        await at_server.review.approve(change, "go")
    assert not server.records[change.number].votes


async def test_a_quick_gate_is_success(at_server: ServerBench) -> None:
    """A gate that merges at once, onto a newer tip, before we looked at our vote: approve says it is merged."""
    server = at_server.server
    change = await at_server.review.propose(at_server.draft(server.repository.head))
    server.repository.push({"other.yaml": b"a: 9\n"})
    server.after_vote = server.merge
    approved = await at_server.review.approve(change, "go")
    assert approved.status is ChangeStatus.MERGED
    assert approved.revision == server.repository.head


async def test_hidden_companions_are_refused(at_server: ServerBench) -> None:
    """Changes that we cannot see and would submit along are a refusal."""
    change = await at_server.review.propose(at_server.draft(await at_server.head()))
    at_server.server.hidden = 2
    with pytest.raises(PermanentError, match="take along 2"):
        await at_server.review.submitted_together(change)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("GET", "hang", times=9), TemporaryError),
        (Fault("GET", "cut", times=9), TemporaryError),
        (Fault("GET", "slow", times=9), TemporaryError),
        (Fault("GET", "text", times=9), TemporaryError),
        (Fault("GET", "status", status=503, times=9), TemporaryError),
        (Fault("GET", "status", status=429, times=9), TemporaryError),
        (Fault("GET", "status", status=408, times=9), TemporaryError),
        (Fault("GET", "status", status=302, times=9), PermanentError),
        (Fault("GET", "status", status=403, times=9), PermanentError),
        (Fault("GET", "status", status=405, times=9), PermanentError),
    ],
)
async def test_reads_fail_in_our_words_and_in_time(
    at_server: ServerBench, fault: Fault, error: type[QuarterdeckError]
) -> None:
    """However Gerrit fails, every read ends within its deadline with an error of ours."""
    change = await at_server.review.propose(at_server.draft(await at_server.head()))
    at_server.server.faults.append(fault)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(error):
        await at_server.review.get(at_server.project, change.number)
    assert loop.time() - began < 3
    at_server.server.faults.clear()
    assert (await at_server.review.get(at_server.project, change.number)).number == change.number


async def test_a_read_survives_one_bad_answer(at_server: ServerBench) -> None:
    """Reads are repeated."""
    for action in ("cut", "status"):
        at_server.server.faults.append(Fault("GET", action))
        assert await at_server.review.merged_since(at_server.project, "master", datetime.now(UTC)) == ()


async def test_a_hung_gerrit_lets_callers_go(server: FakeGerrit) -> None:
    """Twelve calls on a hung server all end in time, and the pool serves again afterwards."""
    review = GerritReview(server.url, server.user, server.token, timeout=0.3, pause=0.01)
    server.faults.append(Fault(".", "hang", times=100))
    loop = asyncio.get_running_loop()
    began = loop.time()
    got = await asyncio.gather(*(review.get("ops/charts", n) for n in range(12)), return_exceptions=True)
    assert {type(error) for error in got} == {TemporaryError}
    assert loop.time() - began < 5
    server.faults.clear()
    assert await review.whoami() == server.user
    await review.close()


async def test_a_wrong_token_says_so_and_not_what_it_is(server: FakeGerrit) -> None:
    """A refused login is permanent, and the token is in no error text."""
    review = GerritReview(server.url, server.user, "sesame-42", timeout=2, pause=0.01)
    with pytest.raises(PermanentError, match="does not accept") as caught:
        await review.whoami()
    cause: BaseException | None = caught.value
    while cause:
        assert "sesame" not in str(cause)
        cause = cause.__cause__ or cause.__context__
    await review.close()


async def test_nobody_there() -> None:
    """A closed port is a temporary error."""
    review = GerritReview("http://127.0.0.1:9", "quarterdeck", "x", timeout=1, pause=0.01)
    with pytest.raises(TemporaryError, match="refused"):
        await review.whoami()
    await review.close()


async def test_pages_are_read_to_the_end(at_server: ServerBench) -> None:
    """More merged changes than one page holds are all found, once each."""
    server = at_server.server
    for _ in range(10):
        await at_server.merged()
    found = await at_server.review.merged_since(at_server.project, "master", server.now - timedelta(days=1))
    assert [c.number for c in found] == sorted(server.records)


async def test_only_our_words_reach_the_query(at_server: ServerBench) -> None:
    """A project's name cannot break out of its quotes."""
    with pytest.raises(PermanentError):
        await at_server.review.merged_since('x" OR project:"y', "master", datetime.now(UTC))
    assert not at_server.server.requests


async def test_of_two_with_one_change_id_always_the_same_is_ours(at_server: ServerBench) -> None:
    """Where two creates ran at once Gerrit has two: the merged one counts, then the oldest open one."""
    server = at_server.server
    change = await at_server.review.propose(at_server.draft(server.repository.head))
    record = server.records[change.number]
    server.records[500] = replace(record, number=500)
    found = await at_server.review.find(at_server.project, "master", change.change_id)
    assert found
    assert found.number == change.number
    record.status = "ABANDONED"
    found = await at_server.review.find(at_server.project, "master", change.change_id)
    assert found
    assert found.number == 500


async def test_a_long_retry_after_is_handed_on(at_server: ServerBench) -> None:
    """When Gerrit asks for a long pause the caller hears of it at once."""
    at_server.server.faults.append(Fault("GET", "status", status=429, times=1))
    with pytest.raises(TemporaryError) as caught:
        await at_server.review.whoami()
    assert caught.value.retry_after == 60


async def test_an_answer_of_another_shape_is_no_crash(at_server: ServerBench) -> None:
    """JSON that is not what the API says is refused in our words."""
    at_server.server.faults.append(Fault("GET", "shape"))
    with pytest.raises(PermanentError, match="not as its REST API"):
        await at_server.review.whoami()
