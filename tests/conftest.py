"""Gives the tests one running sandbox for the whole session: the one that SANDBOX names, or one of their own."""

import os
from collections.abc import Iterator

import hypothesis
import pytest

from sandbox import endpoints
from tests.running import RunningSandbox, launch

# a loaded machine is slow, not wrong
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """The sandbox of this session."""
    name = os.environ.get("SANDBOX", "")
    if name and (found := endpoints.read(name)):
        yield RunningSandbox(name, found)
        return
    own = f"test-{os.getpid()}"
    with launch(own, tmp_path_factory.mktemp("sandbox") / "sandbox.log") as started:
        found = started.wait_up()
        os.environ["SANDBOX"] = own  # for helpers that look the endpoints up themselves
        yield RunningSandbox(own, found)
        os.environ["SANDBOX"] = name


@pytest.fixture(autouse=True)
def _sandbox_where_marked(request: pytest.FixtureRequest) -> None:
    """What is marked `sandbox` finds it running, whether it asks for the fixture or not."""
    if request.node.get_closest_marker("sandbox"):
        request.getfixturevalue("sandbox")
