"""What Gerrit promises the core: the same for the fake, the adapter on a small server, and on a real Gerrit."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from urllib.parse import quote

import pytest

from quarterdeck.core.model.change import ChangeStatus, Draft
from quarterdeck.core.model.errors import ConflictError, PermanentError, TemporaryError
from quarterdeck.testing.review import Gate
from tests.servers.fake_gerrit import FakeGerrit
from tests.servers.real_gerrit import RealGerrit, endpoints, prepare
from tests.servers.review_bench import Bench, FakeBench, RealBench, ServerBench, blob

_real: list[RealGerrit] = []


@pytest.fixture(params=["fake", "server", pytest.param("real", marks=pytest.mark.sandbox)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each of the three kinds."""
    if request.param == "fake":
        yield FakeBench()
    elif request.param == "server":
        async with FakeGerrit() as server:
            made = ServerBench(server)
            yield made
            await made.adapter.close()
    else:
        if not _real:
            _real.append(await asyncio.to_thread(prepare, endpoints()["gerrit"]))
        real = RealBench(_real[0])
        yield real
        await real.adapter.close()


async def test_propose_makes_the_change_as_drafted(bench: Bench) -> None:
    """A proposed change has our files, message, parent and Change-Id, and nobody acts on it yet."""
    files = {"values.yaml": b"\xef\xbb\xbftag: tw\xc3\xb6\r\nlast: no newline", "new/dir/x y.yaml": b"n: 1\n"}
    draft = bench.draft(await bench.head(), files, topic="quarterdeck-1", author=("Alice", "alice@example.org"))
    change = await bench.review.propose(draft)
    assert (change.status, change.change_id, change.parent) == (ChangeStatus.NEW, draft.change_id, draft.base)
    assert change.message.rstrip("\n") == draft.message.rstrip("\n")
    assert change.files == {
        "values.yaml": ("M", blob(files["values.yaml"]), 0o100644),
        "new/dir/x y.yaml": ("A", blob(files["new/dir/x y.yaml"]), 0o100644),
    }
    assert change.work_in_progress
    assert not change.submittable
    assert (change.owner, change.uploader) == (bench.bot, bench.bot)
    assert await bench.review.submitted_together(change) == ()


async def test_propose_twice_gives_one_change(bench: Bench) -> None:
    """The same draft again is the same change; it can be found by its Change-Id and read by its number."""
    draft = bench.draft(await bench.head())
    assert await bench.review.find(bench.project, "master", draft.change_id) is None
    one = await bench.review.propose(draft)
    two = await bench.review.propose(draft)
    assert (two.number, two.revision) == (one.number, one.revision)
    found = await bench.review.find(bench.project, "master", draft.change_id)
    assert found == await bench.review.get(bench.project, one.number)


async def test_parallel_proposals_give_one_change(bench: Bench) -> None:
    """Several proposals of one draft at once make one change."""
    draft = bench.draft(await bench.head())
    changes = await asyncio.gather(*(bench.review.propose(draft) for _ in range(4)))
    assert len({change.number for change in changes}) == 1


async def test_an_empty_draft_is_an_empty_change(bench: Bench) -> None:
    """A draft without files is a lawful change: it makes CI build again."""
    change = await bench.review.propose(bench.draft(await bench.head(), {}))
    assert change.files == {}


async def test_propose_refuses_a_changed_draft(bench: Bench) -> None:
    """Our Change-Id with other content is a conflict."""
    draft = bench.draft(await bench.head())
    await bench.review.propose(draft)
    other = Draft(**{**vars(draft), "files": {"values.yaml": b"tag: three\n"}})
    with pytest.raises(ConflictError):
        await bench.review.propose(other)


async def test_propose_refuses_a_foreign_patch_set(bench: Bench) -> None:
    """Somebody's patch set on our change is a conflict for propose, approve and submit."""
    draft = bench.draft(await bench.head())
    change = await bench.review.propose(draft)
    await bench.upload(change.number, {"other.yaml": b"a: evil\n"})
    for call in (
        bench.review.propose(draft),
        bench.review.approve(change, "go"),
        bench.review.submit(change),
    ):
        with pytest.raises(ConflictError):
            await call
    assert not (await bench.review.get(bench.project, change.number)).votes


async def test_propose_refuses_an_edit_that_changes_nothing(bench: Bench) -> None:
    """A draft whose file has that content already is refused."""
    draft = bench.draft(await bench.head(), {"values.yaml": await bench.content("values.yaml")})
    with pytest.raises(PermanentError):
        await bench.review.propose(draft)


async def test_propose_refuses_a_message_without_our_change_id(bench: Bench) -> None:
    """Gerrit would give such a change an id of its own."""
    draft = bench.draft(await bench.head())
    with pytest.raises(PermanentError):
        await bench.review.propose(Draft(**{**vars(draft), "message": "no footer\n"}))


async def test_propose_refuses_an_unknown_base(bench: Bench) -> None:
    """A base that Gerrit does not have is a refusal, not a delay."""
    with pytest.raises(PermanentError):
        await bench.review.propose(bench.draft("1" * 40))


async def test_abandon(bench: Bench) -> None:
    """Abandoning twice is success; an abandoned change cannot be proposed, approved or submitted again."""
    draft = bench.draft(await bench.head())
    change = await bench.review.propose(draft)
    await bench.review.abandon(change, "no longer wanted")
    await bench.review.abandon(change, "no longer wanted")
    assert (await bench.review.get(bench.project, change.number)).status is ChangeStatus.ABANDONED
    for call in (
        bench.review.propose(draft),
        bench.review.approve(change, "go"),
        bench.review.submit(change),
    ):
        with pytest.raises(ConflictError):
            await call


async def test_approve_votes_on_that_revision(bench: Bench) -> None:
    """Our +2 stands with its date, the change is ready, and CI's later word is newer than ours."""
    change = await bench.review.approve(await bench.review.propose(bench.draft(await bench.head())), "go")
    ours = next(v for v in change.votes if v.label == "Code-Review")
    assert (ours.value, ours.who) == (2, bench.bot)
    assert not change.work_in_progress
    assert not change.submittable
    await bench.vote(change.number, "Verified", -1)
    change = await bench.review.get(bench.project, change.number)
    theirs = next(v for v in change.votes if v.label == "Verified")
    assert (theirs.value, theirs.who) == (-1, bench.ci)
    assert ours.at
    assert theirs.at
    assert theirs.at >= ours.at
    with pytest.raises(PermanentError):
        await bench.review.submit(change)


async def test_approve_twice_says_it_once(bench: Bench) -> None:
    """A repeated approval is success and leaves no second message."""
    change = await bench.review.propose(bench.draft(await bench.head()))
    await bench.review.approve(change, "Deploy r1")
    before = await bench.review.comments(bench.project, change.number)
    await bench.review.approve(change, "Deploy r1")
    assert await bench.review.comments(bench.project, change.number) == before
    assert [c.at for c in before] == sorted(c.at for c in before)
    said = [c for c in before if "Deploy r1" in c.text]
    assert len(said) == 1
    assert said[0].author == bench.bot


async def test_submit_before_ci_is_refused(bench: Bench) -> None:
    """Without Verified the submit is refused for good, and it is no conflict."""
    change = await bench.review.approve(await bench.review.propose(bench.draft(await bench.head())), "go")
    with pytest.raises(PermanentError, match="Verified") as caught:
        await bench.review.submit(change)
    assert not isinstance(caught.value, ConflictError)


async def test_submit_merges(bench: Bench) -> None:
    """After CI's word it merges; a second submit and a second proposal find it merged."""
    draft = bench.draft(await bench.head())
    change = await bench.review.approve(await bench.review.propose(draft), "go")
    await bench.vote(change.number, "Verified", 2)
    assert (await bench.review.get(bench.project, change.number)).submittable
    merged = await bench.review.submit(change)
    assert merged.status is ChangeStatus.MERGED
    assert merged.revision == await bench.head()
    assert merged.submitted
    assert merged.submitted.tzinfo is UTC
    for again in (
        await bench.review.submit(change),
        await bench.review.propose(draft),
        await bench.review.approve(change, "go"),
    ):
        assert (again.number, again.revision) == (merged.number, merged.revision)
    await bench.review.abandon(change, "too late")
    assert await bench.content("values.yaml") == draft.files["values.yaml"]


async def test_submit_onto_a_newer_tip(bench: Bench) -> None:
    """Somebody else's file is no conflict: the merged revision is the branch's, and still counts as ours."""
    draft = bench.draft(await bench.head())
    change = await bench.review.approve(await bench.review.propose(draft), "go")
    await bench.push({"other.yaml": secrets.token_bytes(4).hex().encode()})
    await bench.vote(change.number, "Verified", 2)
    merged = await bench.review.submit(change)
    assert merged.revision == await bench.head()
    assert merged.revision != change.revision
    assert (await bench.review.propose(draft)).revision == merged.revision
    assert (await bench.review.submit(change)).revision == merged.revision


async def test_submit_conflict(bench: Bench) -> None:
    """Somebody else's change of the same line is a conflict."""
    change = await bench.review.approve(await bench.review.propose(bench.draft(await bench.head())), "go")
    await bench.push({"values.yaml": f"tag: {secrets.token_hex(4)}\n".encode()})
    await bench.vote(change.number, "Verified", 2)
    with pytest.raises(ConflictError):
        await bench.review.submit(change)
    assert (await bench.review.get(bench.project, change.number)).status is ChangeStatus.NEW


async def test_merged_since(bench: Bench) -> None:
    """Merged changes come oldest first, from the given second on, and can be counted."""
    merged = [await bench.merged() for _ in range(5)]
    first, last = merged[0].submitted, merged[-1].submitted
    assert first
    assert last
    found = await bench.review.merged_since(bench.project, "master", first)
    numbers = [change.number for change in found]
    assert [n for n in numbers if n in {c.number for c in merged}] == [c.number for c in merged]
    assert [c.submitted for c in found] == sorted(c.submitted for c in found if c.submitted)
    ours = next(c for c in found if c.number == merged[2].number)
    assert (ours.revision, ours.change_id) == (merged[2].revision, merged[2].change_id)
    assert ours.owner == bench.bot
    assert await bench.review.merged_since(bench.project, "master", last + timedelta(seconds=2)) == ()
    assert await bench.review.merged_since(bench.project, "nothere", first) == ()


async def test_strangers(bench: Bench) -> None:
    """What is not there is refused in words, and what is no Change-Id is not asked for."""
    with pytest.raises(PermanentError):
        await bench.review.get(bench.project, 999_999)
    with pytest.raises(PermanentError):
        await bench.review.get("no/such", 1)
    with pytest.raises(PermanentError):
        await bench.review.find(bench.project, "master", 'Ix" OR status:open')
    assert await bench.review.whoami() == bench.bot


@pytest.mark.parametrize(
    ("gate", "status", "verified"),
    [
        (Gate.MERGE, ChangeStatus.MERGED, 2),
        (Gate.VERIFY, ChangeStatus.NEW, 2),
        (Gate.FAIL, ChangeStatus.NEW, -1),
        (Gate.STALL, ChangeStatus.NEW, 0),
    ],
)
async def test_the_fakes_gate(gate: Gate, status: ChangeStatus, verified: int) -> None:
    """The fake's CI does what the test says, at the next look after our vote, and a conflict is its -1."""
    bench = FakeBench()
    bench.fake.gate = gate
    change = await bench.review.approve(await bench.review.propose(bench.draft(await bench.head())), "go")
    assert change.status is ChangeStatus.NEW
    seen = await bench.review.get(bench.project, change.number)
    assert seen.status is status
    assert sum(v.value for v in seen.votes if v.label == "Verified") == verified
    late = await bench.review.propose(bench.draft(change.parent))
    await bench.push({"values.yaml": b"tag: other\n"})
    await bench.review.approve(late, "go")
    seen = await bench.review.get(bench.project, late.number)
    assert seen.status is ChangeStatus.NEW
    bench.fake.faults.once("get", TemporaryError("away"))
    with pytest.raises(TemporaryError):
        await bench.review.get(bench.project, late.number)
    assert (await bench.review.get(bench.project, late.number)) == seen
    made = bench.fake.made("services/citoid", {"a": b"1"}, subject="Fix")
    bench.fake.merge(made.number)
    assert bench.fake.changes[-1].status is ChangeStatus.MERGED


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "kind",
    ["REBASE_ALWAYS", "CHERRY_PICK", "MERGE_IF_NECESSARY", "MERGE_ALWAYS", "FAST_FORWARD_ONLY", "REBASE_IF_NECESSARY"],
)
async def test_every_submit_type(kind: str) -> None:
    """However a project merges, the merged change is recognised as ours, and a conflict as one."""
    if not _real:
        _real.append(await asyncio.to_thread(prepare, endpoints()["gerrit"]))
    gerrit = _real[0]
    path = f"projects/{quote(gerrit.project, safe='')}/config"
    await asyncio.to_thread(gerrit.ask, "PUT", path, sent={"submit_type": kind})
    bench = RealBench(gerrit)
    drafts = [bench.draft(await bench.head()) for _ in range(2)]
    drafts.append(bench.draft(drafts[0].base, {"third.yaml": secrets.token_bytes(8)}))
    changes = [await bench.review.approve(await bench.review.propose(draft), "go") for draft in drafts]
    for change in changes:
        await bench.vote(change.number, "Verified", 2)
    merged = await bench.review.submit(changes[0])
    assert merged.status is ChangeStatus.MERGED
    assert (await bench.review.propose(drafts[0])).number == merged.number
    with pytest.raises(ConflictError):
        await bench.review.submit(changes[1])
    if kind == "FAST_FORWARD_ONLY":
        with pytest.raises(ConflictError):
            await bench.review.submit(changes[2])
    else:
        moved = await bench.review.submit(changes[2])
        assert (await bench.review.propose(drafts[2])).revision == moved.revision
        assert (await bench.review.submit(changes[2])).revision == moved.revision
        assert (await bench.review.approve(changes[2], "go")).status is ChangeStatus.MERGED
    await bench.adapter.close()
