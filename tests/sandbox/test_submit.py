"""Proves submit mode: a sandbox of its own, beside the session's, in which the bot is the submitter."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from sandbox import contents
from tests.running import RunningSandbox, launch
from tests.sandbox.live import Live

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A second sandbox that leaves the submit to the bot."""
    log = tmp_path_factory.mktemp("submit") / "sandbox.log"
    with launch(f"{sandbox.name}-submit", log, SANDBOX_MERGE="submit") as started:
        made = Live(started.name, started.wait_up())
        try:
            made.start()
            yield made
        finally:
            with suppress(OSError):
                made.ci()
            made.close()


def test_in_submit_mode_the_bot_submits_after_ci_verified(live: Live) -> None:
    """CI votes, the bot submits its own change, and everything after is as in gate mode."""
    tag = live.push("citoid")
    order = live.order(f"!deploy citoid staging {tag}")
    live.succeeds(order)
    assert live.git_tag("citoid") == tag
    assert live.runs("citoid", "staging", tag)
    (change,) = live.charts_changes(order.number)
    found = live.gerrit.get(
        f"changes/{contents.CHARTS_PROJECT.replace('/', '%2F')}~{change['_number']}?o=DETAILED_ACCOUNTS"
    )
    assert found["status"] == "MERGED"
    assert found["submitter"]["username"] == live.found["gerrit"]["account"]


def test_in_submit_mode_a_no_from_ci_is_no(live: Live) -> None:
    """Nothing is submitted that CI refused; the line says so, and nothing was applied."""
    before = live.git_tag("citoid")
    live.ci(result="FAILURE")
    order = live.order(f"!deploy citoid staging {live.push('citoid')}")
    verdict = live.verdict(order)
    assert "FAILED at merge" in verdict
    assert "Nothing was applied" in verdict
    assert live.git_tag("citoid") == before
