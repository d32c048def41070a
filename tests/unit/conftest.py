"""One world for each test, with the end it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.worlds.world import Deck


@pytest.fixture
async def deck() -> AsyncIterator[Deck]:
    """A world in which an image was announced and nothing deployed yet."""
    made = Deck()
    made.announce()
    yield made
    await made.close()
