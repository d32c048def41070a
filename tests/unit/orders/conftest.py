"""A world with a service in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.worlds.fleet import FleetDeck, announced


@pytest.fixture
async def fleet() -> AsyncIterator[FleetDeck]:
    """A world in which the images of both parts were announced."""
    made = announced(FleetDeck())
    yield made
    await made.close()
