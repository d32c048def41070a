"""Proves on real servers that whatever fails, the rollout ends in a true state and says so."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import contents
from tests.running import RunningSandbox
from tests.sandbox.live import APISERVER, GERRIT, REGISTRY, SSHD, Live, Order, until

pytestmark = pytest.mark.sandbox

SERVICE = "wikifeeds"


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """The sandbox with people and a bot, and the services that fail below."""
    made = Live(sandbox.name, sandbox.found)
    try:
        for service in (SERVICE, "cxserver", "mobileapps"):
            made.install(service, "staging")
        made.start()
        yield made
    finally:
        with suppress(OSError):
            made.ci()
        made.close()


def law_14(live: Live, order: Order, verdict: str) -> None:
    """The line names the step or what failed, what serves, and the next command."""
    assert f"#{order.number} " in verdict
    assert re.search(r"Nothing was applied|Back: |Now: |Cluster now: |serves", verdict), verdict
    assert re.search(rf"!(retry|rollback|stop) (\w+|{order.number})", verdict), verdict


# bad images: helm goes back by itself


def test_bad_images_are_warned_of_early_helm_goes_back_and_a_rollback_makes_git_agree(live: Live) -> None:
    """Crashing, not pullable, never ready: a warning before helm's own 20 s are over, then FAILED with the truth."""
    orders = {}
    before = {}
    for service, fault in ((SERVICE, "crash"), ("cxserver", "badpull"), ("mobileapps", "neverready")):
        before[service] = set(live.pods(service, "staging"))
        orders[service] = (live.order(f"!deploy {service} staging {live.push(service, fault)}"), fault)
    for service, (order, fault) in orders.items():
        if fault != "neverready":  # not ready is no terminal reason
            warned = live.line(rf"#{order.number} .* looks bad: ", order.heard, 60)
            assert f"!stop {order.number} = go back now" in warned.text
            assert "helm gives up by itself at" in warned.text
        verdict = live.verdict(order, seconds=120)
        assert " FAILED at apply: " in verdict, verdict
        law_14(live, order, verdict)
        assert "Back: " in verdict, verdict
        assert "git still says" in verdict
        assert f"!rollback {service} staging" in verdict
        assert set(live.pods(service, "staging")) == before[service]
        assert len(live.applied(order)) == 1
        assert until("SAL", lambda o=order: live.sal(o, "staging", "FAILED"), 5)  # type: ignore[misc]
    assert "cannot pull their image" in live.verdict(orders["cxserver"][0])
    _git_follows(live, before)


def _git_follows(live: Live, before: Mapping[str, set[str]]) -> None:
    """Helm went back already: after a rollback git agrees, and no pod was touched."""
    releases = {SERVICE: "main", "cxserver": "main", "mobileapps": "staging"}
    revisions = {service: live.history(service, "staging", name)[-1]["revision"] for service, name in releases.items()}
    for service, order in [(service, live.order(f"!rollback {service} staging")) for service in releases]:
        live.succeeds(order)
        assert {live.git_tag(service, "staging")} == before[service] == set(live.pods(service, "staging"))
        assert live.history(service, "staging", releases[service])[-1]["revision"] == revisions[service]
        assert live.applied(order) == []


def test_a_slow_image_is_waited_for(live: Live) -> None:
    """Slow is not bad: no warning, and the pods' verdict is OK."""
    order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE, 'slow')}")
    live.succeeds(order)
    assert not [x for x in live.lines_of(order) if "looks bad" in x]
    assert order.waited < 3.0, "three times the promise for the first line"


def test_stop_in_mid_apply_lets_helm_go_back_and_says_so(live: Live) -> None:
    """The job is interrupted, helm returns to the last good revision, and the line names who stopped and what serves."""
    serving = next(iter(live.pods(SERVICE, "staging")))
    tag = live.push(SERVICE, "neverready")
    order = live.order(f"!deploy {SERVICE} staging {tag}")
    until("the new pods", lambda: tag in live.pods(SERVICE, "staging"), 60)
    assert "stopping" in live.answer(f"!stop {order.number}", "bob")
    verdict = live.verdict(order)
    assert "stopped by bob at apply" in verdict, verdict
    assert live.runs(SERVICE, "staging", serving), live.pods(SERVICE, "staging")
    assert short(serving) in verdict, verdict
    assert f"git still says {short(tag)}" in verdict
    assert until("SAL", lambda: live.sal(order, "staging", "STOPPED"), 5)


# the gate


def test_a_gate_that_says_no_fails_the_rollout_before_anything_is_applied(live: Live) -> None:
    """CI's Verified -1 is named, and the change stays for a person to settle."""
    live.ci(result="FAILURE")
    try:
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        verdict = live.verdict(order)
    finally:
        live.ci()
    assert " FAILED at merge: " in verdict, verdict
    assert "Verified" in verdict
    law_14(live, order, verdict)
    assert live.applied(order) == []


def test_a_gate_that_says_nothing_has_a_deadline(live: Live) -> None:
    """After the deadline the line says what to do."""
    live.ci(comment="silent")
    try:
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        verdict = live.verdict(order)
    finally:
        live.ci()
    assert "is not merged after 12 s" in verdict, verdict
    law_14(live, order, verdict)
    closed = live.answer(f"!stop {order.number}")
    assert "closed by alice" in closed, closed


# servers that are away


def test_gerrit_away_at_command_time_is_said_and_nothing_begins(live: Live) -> None:
    """One clear line, no number."""
    with live.stopped(GERRIT):
        said = live.answer(f"!deploy {SERVICE} staging {live.push(SERVICE)}", seconds=60)
    assert "Nothing done" in said, said
    assert re.search("[Gg]errit", said), said


def test_servers_that_hang_in_mid_rollout_are_waited_for(live: Live) -> None:
    """Gerrit while the gate runs, the deploy host after it: then one merge, one apply, and OK."""
    live.ci(delay=3)
    try:
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        until("our change", lambda: live.charts_changes(order.number), 20)
        with live.stopped(GERRIT):
            time.sleep(3)  # the outage itself
        with live.stopped(SSHD):
            live.cut_ssh()
            time.sleep(3)  # the outage itself
        live.succeeds(order)
    finally:
        live.ci()
    assert [c["status"] for c in live.charts_changes(order.number)] == ["MERGED"]
    assert len(live.applied(order)) == 1


def test_a_registry_that_is_away_is_said_before_anything_is_written(live: Live) -> None:
    """The image cannot be verified: nothing done."""
    tag = live.push(SERVICE)
    with live.stopped(REGISTRY):
        said = live.answer(f"!deploy {SERVICE} staging {tag}", seconds=60)
    assert "Nothing done" in said, said
    assert "registry" in said.lower(), said


def test_a_tag_that_the_registry_has_not_got_is_refused(live: Live) -> None:
    """Before anything is written."""
    said = live.answer(f"!deploy {SERVICE} staging 2020-01-01-000000-production")
    assert "Nothing done" in said, said


def test_sessions_cut_in_mid_apply_are_taken_up_again_and_nothing_is_applied_twice(live: Live) -> None:
    """The job goes on without us, we attach again where its log ended."""
    before = live.history(SERVICE, "staging")[-1]["revision"]
    tag = live.push(SERVICE)
    order = live.order(f"!deploy {SERVICE} staging {tag}")
    until("the apply", lambda: live.applied(order), 60)
    assert live.cut_ssh() > 0
    live.succeeds(order)
    assert live.history(SERVICE, "staging")[-1]["revision"] == before + 1
    assert len(live.applied(order)) == 1
    assert live.runs(SERVICE, "staging", tag)


def test_a_cluster_that_hangs_in_the_apply_ends_in_a_true_state(live: Live) -> None:
    """The API server stands still while helm works: when it is back, what is said is what runs."""
    before = next(iter(live.pods(SERVICE, "staging")))
    tag = live.push(SERVICE)
    order = live.order(f"!deploy {SERVICE} staging {tag}")
    until("the apply", lambda: live.applied(order), 60)
    with live.stopped(APISERVER):
        time.sleep(5)  # the outage itself
    verdict = live.verdict(order, seconds=150)
    law = " OK " in verdict or " FAILED " in verdict or " UNKNOWN" in verdict
    assert law, verdict
    wanted = tag if " OK " in verdict else before
    until("the pods", lambda: wanted in live.pods(SERVICE, "staging"), 20)
    assert len(live.applied(order)) == 1
    if " OK " not in verdict:
        assert " OK " in live.verdict(live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}"), seconds=120)


# the deploy host and what is on it


def test_helmfile_that_fails_is_quoted(live: Live) -> None:
    """A chart that somebody broke in git: FAILED at diff with helm's words; repaired, a new deploy goes through."""
    path = f"helmfile.d/services/{SERVICE}/values-staging.yaml"
    good = live.git_file(SERVICE, "values-staging.yaml")
    live.merge_charts({path: "resources: nonsense\n"}, f"{SERVICE}: break the values")
    try:
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        verdict = live.verdict(order)
    finally:
        live.merge_charts({path: good}, f"{SERVICE}: repair the values")
    assert " FAILED at diff: " in verdict, verdict
    assert "Nothing was applied" in verdict
    law_14(live, order, verdict)
    again, _ = live.say(f"!retry {order.number}")
    live.succeeds(order, again)


def test_a_checkout_that_cannot_pull_is_named_with_the_file(live: Live) -> None:
    """Somebody changed a file on the host: after the deadline the line says where it stands and why."""
    changed = live.host.charts / "helmfile.d" / "services" / SERVICE / "values.yaml"
    good = changed.read_bytes()
    changed.write_bytes(good + b"# by hand\n")
    try:
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        verdict = live.verdict(order)
    finally:
        run_git(live, "checkout", "--", str(changed))
    assert " FAILED at sync: " in verdict, verdict
    assert f"helmfile.d/services/{SERVICE}/values.yaml" in verdict
    assert "Nothing was applied" in verdict
    law_14(live, order, verdict)
    again, _ = live.say(f"!retry {order.number}")
    live.succeeds(order, again)


def run_git(live: Live, *words: str) -> None:
    """Git in the host's checkout, as whoever owns it."""
    owner = live.host.charts.stat()
    subprocess.run(
        ["git", "-c", f"safe.directory={live.host.charts}", "-C", str(live.host.charts), *words],
        check=True,
        capture_output=True,
        user=owner.st_uid,
        group=owner.st_gid,
        env={"PATH": "/usr/bin:/bin", "HOME": "/"},
    )


def test_a_deploy_host_without_room_is_said_and_nothing_is_applied(live: Live) -> None:
    """The folder of the jobs cannot be written."""
    jobs = live.root / "host" / "home" / "quarterdeck-jobs"
    size = "64k"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(jobs)], check=False).returncode:
        pytest.skip("only root can have a small disk")
    try:
        jobs.chmod(0o777)
        with suppress(OSError), (jobs / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        order = live.order(f"!deploy {SERVICE} staging {live.push(SERVICE)}")
        verdict = live.verdict(order, seconds=60)
    finally:
        until("the small disk's end", lambda: subprocess.run(["umount", str(jobs)], check=False).returncode == 0, 20)
    assert " FAILED at diff: " in verdict, verdict
    assert "full" in verdict, verdict
    assert "Nothing was applied" in verdict
    law_14(live, order, verdict)
    again, _ = live.say(f"!retry {order.number}")
    live.succeeds(order, again)


# people


def test_somebody_elses_apply_since_the_diff_is_not_run_over(live: Live) -> None:
    """The question is open, bob applies by hand; the answer finds another revision and applies nothing."""
    for environment in ("codfw", "eqiad"):
        live.deploy_by_hand(SERVICE, environment)
    spare = live.push(SERVICE)
    order = live.order(f"!deploy {SERVICE} production {spare}", seconds=20)
    asked = live.line(rf"#{order.number} .*!confirm ", order.heard, 60)
    code = re.search(r"!confirm (\S+?)(?: with (\d+))?[,.]? or", asked.text)
    assert code, asked.text
    live.deploy_by_hand(SERVICE, "codfw")  # git says the new tag already
    said = live.answer(f"!confirm {code[1]}" + (f" with {code[2]}" if code[2] else ""), "bob")
    assert "goes on" in said, said
    verdict = live.verdict(order, asked.number)
    assert " FAILED at apply: not applied" in verdict, verdict
    law_14(live, order, verdict)
    assert live.applied(order) == []
    assert "eqiad not touched" in verdict, verdict


def test_codes_are_refused_when_wrong_or_by_strangers(live: Live) -> None:
    """A wrong code, a code said twice, mallory's, and !stop by somebody unknown change nothing."""
    assert "Nothing done" in live.answer("!confirm prod-zzz")
    for command in (
        f"!deploy {SERVICE} staging",
        f"!apply {SERVICE} staging",
        f"!rollback {SERVICE} staging",
        "!stop 1",
        "!retry 1",
    ):
        said = live.answer(command, "mallory")
        assert "mallory" in said, said
        assert re.search("Nothing done|unknown|may not", said), said


def test_two_deploys_of_one_target_at_once_are_told_apart(live: Live) -> None:
    """The second is refused with the name of the first."""
    one, two = live.push(SERVICE), live.push(SERVICE)
    heard, _ = live.say(f"!deploy {SERVICE} staging {one}", "alice")
    live.say(f"!deploy {SERVICE} staging {two}", "bob")
    refused = live.line("Nothing done", heard, 30).text
    accepted = live.line(rf"(?:^|: )#(\d+) {SERVICE} staging .*patch", heard, 30)
    number = re.search(r"#(\d+)", accepted.text)
    assert number, accepted.text
    assert f"#{number[1]}" in refused, refused
    verdict = live.line(rf"#{number[1]} .*(?:OK in|FAILED|UNKNOWN)", heard, 60).text
    assert " OK " in verdict, verdict


# what may never be written


def test_no_secret_is_in_anything_the_bot_wrote(live: Live) -> None:
    """Every byte of its data, its log, its lines and its pages: no planted secret, token or password."""
    order = live.order(f"!deploy failoid staging {live.push('failoid', 'crash')}")
    asked = live.line(rf"#{order.number} .*(?:!confirm |FAILED)", order.heard, 60)
    code = re.search(r"!confirm (\S+?)(?: with (\d+))?[,.]? or", asked.text)
    if code:
        live.say(f"!confirm {code[1]}" + (f" with {code[2]}" if code[2] else ""))
    verdict = live.verdict(order, asked.number - 1, seconds=120)
    assert " FAILED " in verdict, verdict
    for who in ("!log", "!diff", "!pods"):
        live.answer(f"{who} {order.number}")
    last = order.number
    for number in range(1, last + 1):
        for page in (f"/{number}", f"/{number}.json", f"/{number}/log"):
            with suppress(OSError):
                live.page(page)
    secrets = [*contents.canaries(), Path(live.found["gerrit"]["token_file"]).read_text().strip()]
    secrets += [live.found["irc"]["accounts"]["quarterdeck"], live.found["gerrit"]["password"]]
    assert live.bot is not None
    written = [p for p in (live.bot.folder / "data").rglob("*") if p.is_file()]
    written.append(live.bot.log)
    assert len(written) > 20
    said = "\n".join(x.text for x in live.alice.lines if x.nick == "quarterdeck")
    shown = "\n".join(live.pages)
    sal = Path(live.found["sal"]["log"]).read_text()
    found = [
        f"{secret} in {where}"
        for secret in secrets
        for where, data in [
            *((str(p), p.read_bytes()) for p in written),
            ("the channel", said.encode()),
            ("a page", shown.encode()),
            ("the admin log", sal.encode()),
        ]
        if secret.encode() in data
    ]
    assert found == []
    assert "CANARY" not in shown + said


def short(tag: str) -> str:
    """The tag as the bot says it."""
    return tag.removesuffix("-production")
