"""Proves on real servers that a bot killed at any moment causes each effect once and says the truth after."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.running import RunningSandbox
from tests.sandbox.live import Live, Order, until

pytestmark = pytest.mark.sandbox

SERVICE = "cxserver"
#: a bot that names one of these kills itself as soon as that is saved; in the order of a rollout
BOUNDARIES = (
    "edit:intended",  # the change may exist or not
    "edit:done",
    "merge:intended",  # before our vote
    "merge:done",
    "sync:done",
    "diff:intended",
    "diff:done",  # with the line of the diff unsaid
    "apply:intended",  # the job does not run yet
    "apply:done",
    "check:done",
    "SUCCEEDED",  # with the verdict unsaid
)


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """The sandbox with people and no bot, and the service in all its environments."""
    made = Live(sandbox.name, sandbox.found)
    try:
        for environment in ("staging", "codfw", "eqiad"):
            made.install(SERVICE, environment)
        yield made
    finally:
        made.close()


def assert_one_effect(live: Live, order: Order, environment: str, tag: str, revision: int) -> None:
    """One merged change, one revision, one apply, one START and one DONE; the pods run the tag."""
    changes = live.charts_changes(order.number)
    assert [c["status"] for c in changes] == ["MERGED"], [(c["_number"], c["status"]) for c in changes]
    assert live.git_tag(SERVICE, environment) == tag
    assert live.history(SERVICE, environment)[-1]["revision"] == revision + 1
    assert [p for p in live.applied(order) if f"-{environment}-" in p.name].__len__() == 1
    assert live.runs(SERVICE, environment, tag)
    for word in ("START", "DONE"):
        until(f"SAL {word}", lambda word=word: live.sal(order, environment, word), 5)  # type: ignore[misc]
        said = [x.partition("!log ")[2].removesuffix(" (again)") for x in live.sal(order, environment, word)]
        assert len(set(said)) == 1, said
        assert len(said) <= 2, "at most once (again)"


def assert_nothing_lost(live: Live, order: Order, *patterns: str) -> None:
    """Each line was said, once, or twice with (again) on the second."""
    said = live.lines_of(order)
    for pattern in patterns:
        found = [x for x in said if re.search(pattern, x)]
        assert found, f"no line with {pattern!r} in {said}"
        assert len(found) == 1 or all(x.endswith("(again)") for x in found[1:]), found


def test_a_bot_killed_at_every_boundary_of_one_rollout_merges_once_and_applies_once(live: Live) -> None:
    """Eleven bots die one after another in the same rollout, each right after a save; the twelfth says OK."""
    tag, before = live.push(SERVICE), live.history(SERVICE, "staging")[-1]["revision"]
    live.start(BOUNDARIES[0])
    order = live.order(f"!deploy {SERVICE} staging {tag}")
    live.wait_dead()
    for _, boundary in pairwise(BOUNDARIES):
        live.start(boundary, ready=False)
        live.wait_dead()
    live.start()
    live.succeeds(order)
    assert live.json(order.number)["state"] == "SUCCEEDED"
    assert_one_effect(live, order, "staging", tag, before)
    assert_nothing_lost(live, order, "patch goes to the gate", r"diff: .*image", r"staging OK in")


def test_a_bot_killed_while_others_work_takes_the_rollout_up_where_it_stands(live: Live) -> None:
    """Killed while the gate runs, while the host syncs, while each job runs, before a result is read, in the soak."""
    tag, before = live.push(SERVICE), live.history(SERVICE, "staging")[-1]["revision"]
    live.ci(delay=2)
    try:
        live.start()
        order = live.order(f"!deploy {SERVICE} staging {tag}")
        _kill_when(live, lambda: _votes(live, order), "our vote, and the gate runs")
        _kill_when(live, lambda: _begun(live, order, "sync", ""), "the sync")
        _kill_when(live, lambda: _host_job(live, order, "diff"), "the diff job")
        _kill_when(live, lambda: live.applied(order), "the apply job")
        job = live.applied(order)[0]
        until("the job's end, with nobody there", (job / "rc").exists, 30)
        live.start()
        _kill_when(live, lambda: _begun(live, order, "check", "staging"), "the soak", restart=False)
        live.start("sent", ready=False)  # a line is with the network and not marked
        live.wait_dead()
        live.start()
        verdict = live.verdict(order)
    finally:
        live.ci()
    assert " OK " in verdict, verdict
    assert_one_effect(live, order, "staging", tag, before)
    assert_nothing_lost(live, order, "patch goes to the gate", r"diff: .*image", r"staging OK in")


def test_a_question_and_its_answer_outlive_the_bot(live: Live) -> None:
    """Production asks; the bot dies with the question open, after the answer, and between the data centres."""
    tag = live.git_tag(SERVICE, "staging")
    before = {e: live.history(SERVICE, e)[-1]["revision"] for e in ("codfw", "eqiad")}
    live.start("WAITING")
    order = live.order(f"!deploy {SERVICE} production {tag}")
    live.wait_dead()
    live.start("apply/codfw:intended")
    asked = live.line(rf"#{order.number} .*!confirm ", order.heard)
    code = re.search(r"!confirm (\S+?)[,.]? or", asked.text)
    assert code, asked.text
    live.say(f"!confirm {code[1]}")
    live.wait_dead()
    live.start("apply/eqiad:intended", ready=False)
    live.wait_dead()
    live.start()
    live.succeeds(order)
    for environment in ("codfw", "eqiad"):
        assert live.history(SERVICE, environment)[-1]["revision"] == before[environment] + 1
        assert live.runs(SERVICE, environment, tag)
        assert len(live.sal(order, environment, "START")) == len(live.sal(order, environment, "DONE")) == 1
    assert [c["status"] for c in live.charts_changes(order.number)] == ["MERGED"]
    assert "already confirmed" in live.answer(f"!confirm {code[1]}", "bob")


def test_a_job_killed_on_the_deploy_host_is_unknown_and_retry_goes_on(live: Live) -> None:
    """Without an exit status nothing is guessed: UNKNOWN with what the cluster shows; !retry looks again."""
    live.start()
    tag = live.push(SERVICE)
    order = live.order(f"!deploy {SERVICE} staging {tag}")
    job = until("the apply", lambda: live.applied(order), 60)[0]
    os.killpg(int((job / "pid").read_text()), signal.SIGKILL)
    verdict = live.verdict(order)
    assert " UNKNOWN: " in verdict, verdict
    assert "without an exit status" in verdict
    assert "Cluster now: staging serves" in verdict
    assert f"!retry {order.number}" in verdict
    assert "UNKNOWN" in until("SAL", lambda: live.sal(order, "staging", "UNKNOWN"), 5)[0]
    assert live.json(order.number)["state"] == "UNKNOWN"
    busy = live.answer(f"!deploy {SERVICE} staging {tag}", "bob")
    assert f"#{order.number}" in busy, busy
    _free_release(live)
    heard, _ = live.say(f"!retry {order.number}")
    live.line("looking again", heard)
    live.succeeds(order, heard)
    assert live.runs(SERVICE, "staging", tag)


def _free_release(live: Live) -> None:
    """What a person does after helm was killed: a release left pending is rolled back by hand."""
    last = live.history(SERVICE, "staging")[-1]
    if last["status"].startswith("pending"):
        live.kubectl(SERVICE, "staging", "delete", "secret", f"sh.helm.release.v1.main.v{last['revision']}")


def _kill_when(live: Live, look: Callable[[], object], what: str, restart: bool = True) -> None:
    until(what, look, 60)
    live.kill()
    if restart:
        live.start()


def _votes(live: Live, order: Order) -> bool:
    changes = live.charts_changes(order.number)
    if not changes:
        return False
    labels = live.gerrit.get(f"changes/{changes[0]['_number']}/detail")["labels"]
    return any(v.get("value") == 2 for v in labels["Code-Review"].get("all", ()))


def _begun(live: Live, order: Order, name: str, environment: str) -> bool:
    return live.step(order, name, environment).get("state") == "intended"


def _host_job(live: Live, order: Order, name: str) -> list[Path]:
    jobs = live.root / "host" / "home" / "quarterdeck-jobs"
    return list(jobs.glob(f"r{order.number}-*-{name}-*/started"))
