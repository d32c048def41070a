"""The pages of the real bot: as text for curl, as data, and drawn by headless Chromium on a desk and on a phone."""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from sandbox.build import packages
from sandbox.build.cache import Cache, Runner, ToolError, which
from tests.running import RunningSandbox
from tests.sandbox.live import Live, Order, until

pytestmark = pytest.mark.sandbox

CHROMIUM = packages.Package("chromium", command="chromium")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
BREAKS = "wikifeeds"
WHY = "fixes <script>alert(1)</script> & <b>T1</b>"
PAGES = Path(tempfile.gettempdir()) / "quarterdeck-pages"


@pytest.fixture(scope="module")
def live(sandbox: RunningSandbox) -> Iterator[Live]:
    """People and a bot."""
    made = Live(sandbox.name, sandbox.found)
    try:
        made.deploy_by_hand("citoid", "staging")
        if "-crash-" not in made.git_tag(BREAKS, "staging"):  # else a run before this one was killed
            made.deploy_by_hand(BREAKS, "staging")
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def rollouts(live: Live) -> Iterator[dict[str, Order]]:
    """One that went well, one that waits, one that failed and is taken back at the end."""
    bad = live.order(f"!deploy {BREAKS} staging {live.push(BREAKS, 'crash')} -- {WHY}")
    good = live.order(f"!deploy citoid staging {live.push('citoid')} -- {WHY}")
    live.succeeds(good)
    waiting = live.order("!deploy citoid production")
    live.line(rf"#{waiting.number} .*!confirm ", waiting.heard, 60)
    assert "FAILED" in live.verdict(bad)
    yield {"SUCCEEDED": good, "WAITING": waiting, "FAILED": bad}
    live.succeeds(live.order(f"!rollback {BREAKS} staging"))
    live.say(f"!stop {waiting.number}")
    assert "closed by alice" in live.verdict(waiting)


@pytest.fixture(scope="module")
def chromium() -> Path:
    """The browser, fetched where the machine lets us."""
    if not CHROMIUM.present():
        if os.geteuid() != 0 and os.environ.get("SANDBOX_INSTALL") != "1":
            pytest.skip("no chromium here: apt-get install chromium, or SANDBOX_INSTALL=1")
        try:
            packages.check_allowed([CHROMIUM])
            packages.install([CHROMIUM], Runner(Cache.of_user().logs), print)
        except ToolError as error:
            pytest.skip(f"chromium could not be installed: {error}")
    found = which("chromium")
    assert found
    return found


def get(live: Live, path: str, accept: str = "*/*") -> tuple[int, str, dict[str, str]]:
    """Status, text and headers."""
    assert live.bot is not None
    try:
        with urlopen(Request(f"{live.bot.web}{path}", headers={"Accept": accept}), timeout=20) as reply:
            return reply.status, reply.read().decode(), dict(reply.headers)
    except HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def dom(chromium: Path, url: str, *more: str) -> str:
    """What the browser makes of a page."""
    with tempfile.TemporaryDirectory() as profile:
        argv = [str(chromium), *QUIET, f"--user-data-dir={profile}", *more, url]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize("state", ["SUCCEEDED", "WAITING", "FAILED"])
def test_curl_gets_the_state_and_the_next_command_first(live: Live, rollouts: dict[str, Order], state: str) -> None:
    """Plain text without stray blank lines: state, what serves, what to type; then all the rest."""
    number = rollouts[state].number
    status, text, headers = get(live, f"/{number}")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    lines = text.splitlines()
    assert re.fullmatch(rf"{state} #{number} \w+ .+ -> 20\S+", lines[0]), lines[0]
    assert any(" serves " in line for line in lines[1:5])
    (following,) = (line for line in lines[:8] if line.startswith("Next: "))
    wanted = {"SUCCEEDED": "!deploy citoid production", "WAITING": "!confirm prod-", "FAILED": f"!retry {number}"}
    assert wanted[state] in following
    assert "\n\n\n" not in text
    assert not [line for line in lines if line != line.rstrip()]
    assert "By hand\n  # " in text
    assert "helmfile -e " in text
    if state == "FAILED":
        assert re.search(r"Evidence staging default\n  \d\d:\d\d:\d\d .*crash", text)
        assert "exit 1" in text


def test_the_list_puts_what_needs_a_person_first(live: Live, rollouts: dict[str, Order]) -> None:
    """Waiting and failed ones, what is pending, then what was."""
    _, text, _ = get(live, "/")
    states = [line.split()[1] for line in text.splitlines() if line.startswith("#")]
    needy = [state in ("WAITING", "FAILED", "UNKNOWN") for state in states]
    assert needy == sorted(needy, reverse=True)
    assert {rollouts[s].number for s in rollouts} <= {int(n) for n in re.findall(r"^#(\d+) ", text, re.M)}
    assert "pending: citoid codfw " in text
    assert "\n\n" not in text
    status, html, headers = get(live, "/", "text/html")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert html.index("Needs a person") < html.index("Pending: merged") < html.index(">Over<")


def test_the_data_has_what_the_page_says(live: Live, rollouts: dict[str, Order]) -> None:
    """`/42.json`."""
    number = rollouts["WAITING"].number
    _, text, headers = get(live, f"/{number}.json")
    found = json.loads(text)
    assert headers["Content-Type"].startswith("application/json")
    assert (found["number"], found["state"], found["environments"]) == (number, "WAITING", ["codfw", "eqiad"])
    assert found["next"][0].startswith("!confirm prod-")


def test_a_log_is_read_from_an_offset(live: Live, rollouts: dict[str, Order]) -> None:
    """The parts joined are the whole, and the next offset is said; the whole diff is there as well."""
    number = rollouts["SUCCEEDED"].number
    path = f"/{number}/log?name=staging.default.apply.log"
    _, whole, headers = get(live, path)
    assert "STATUS: deployed" in whole
    assert int(headers["X-Next-Offset"]) == len(whole.encode())
    _, rest, _ = get(live, f"{path}&offset=100")
    assert whole.encode()[100:].decode() == rest
    assert get(live, f"{path}&offset={headers['X-Next-Offset']}")[1] == ""
    assert "apiVersion: apps/v1" in get(live, f"/{number}/log?name=staging.diff")[1]
    for wrong in ("name=../store", "name=x", "offset=-1", "offset=٤", "offset=x", "name=staging.diff&offset=1e3"):
        status, text, _ = get(live, f"/{number}/log?{wrong.replace('٤', '%D9%A4')}")
        assert (status, text.count("\n")) == (400, 1), wrong
    for missing in ("/999999", "/999999.json", "/999999/log", "/x", "/1/x"):
        assert get(live, missing)[0] == 404


def test_nothing_people_wrote_becomes_markup(live: Live, rollouts: dict[str, Order]) -> None:
    """A reason with <script> is shown as it was typed; no script, no foreign source may run at all."""
    for order in (rollouts["SUCCEEDED"], rollouts["FAILED"]):
        _, html, headers = get(live, f"/{order.number}", "text/html")
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;T1&lt;/b&gt;" in html
        assert "<script" not in html
        assert "<b>T1" not in html
        assert headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        assert WHY in get(live, f"/{order.number}")[1]
        assert "\x1b" not in html


def test_a_page_that_is_read_stays_as_it_is(live: Live, rollouts: dict[str, Order]) -> None:
    """Only what moves is loaded again by itself."""
    refreshed = {state: "http-equiv" in get(live, f"/{rollouts[state].number}", "text/html")[1] for state in rollouts}
    assert refreshed == {"SUCCEEDED": False, "WAITING": True, "FAILED": False}


@pytest.mark.parametrize("state", ["SUCCEEDED", "WAITING", "FAILED"])
def test_chromium_draws_it(live: Live, rollouts: dict[str, Order], chromium: Path, state: str) -> None:
    """On a desk and on a phone, in the light and in the dark; the pictures stay for people to look at."""
    assert live.bot is not None
    url = f"{live.bot.web}/{rollouts[state].number}"
    found = dom(chromium, url, "--dump-dom")
    assert f'<span class="state">{state}</span>' in found
    assert "<kbd>!" in found
    PAGES.mkdir(exist_ok=True)
    for name, size, scheme in (("desk", "1100,1500", 1), ("phone", "390,1700", 0)):
        picture = PAGES / f"{state.lower()}-{name}.png"
        picture.unlink(missing_ok=True)
        dom(
            chromium,
            url,
            f"--window-size={size}",
            f"--screenshot={picture}",
            f"--blink-settings=preferredColorScheme={scheme}",
        )
        until(picture.name, picture.exists, 5)
        assert picture.stat().st_size > 20_000


def test_a_page_comes_at_once(live: Live, rollouts: dict[str, Order]) -> None:
    """Pods are looked at while one waits: a second at most, at three times the figure."""
    begun = time.monotonic()
    get(live, f"/{rollouts['SUCCEEDED'].number}")
    assert time.monotonic() - begun < 3
