"""What waits to be said: order, age, size and pace."""

import asyncio

import pytest

from quarterdeck.chat import QueueFull, TooOld
from quarterdeck.chat.irc.queue import SendQueue, TokenBucket


def anywhere(_: str) -> bool:
    """Every target can be reached."""
    return True


def test_the_bucket_gives_eight_at_once_and_one_a_second_after() -> None:
    """Twenty lines take twelve seconds, and an idle hour saves up no more than eight."""
    bucket, now = TokenBucket(8, 1, 0.0), 3600.0
    for _ in range(20):
        now += bucket.wait(now)
        bucket.take(now)
    assert now - 3600 == pytest.approx(12)


def test_a_line_that_must_go_puts_the_bucket_in_debt() -> None:
    """PONGs never wait, but the lines after them do."""
    bucket = TokenBucket(2, 1, 0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(3)


async def test_urgent_ones_go_first_and_order_is_kept() -> None:
    """A verdict passes the chatter that came before it."""
    queue = SendQueue()
    for text, urgent in (("a", False), ("b", False), ("V1", True), ("V2", True)):
        queue.put("#c", [text], urgent, 60)
    order = []
    while saying := queue.next(anywhere):
        order.append(saying.lines.popleft())
        queue.drop(saying)
    assert order == ["V1", "V2", "a", "b"]


async def test_a_target_that_cannot_be_reached_holds_nobody_up() -> None:
    """A room we are not in waits, the others go on."""
    queue = SendQueue()
    queue.put("#away", ["a"], False, 60)
    queue.put("#here", ["b"], False, 60)
    saying = queue.next(lambda target: target != "#away")
    assert saying is not None
    assert saying.target == "#here"


async def test_o7_what_is_too_old_fails_and_is_gone() -> None:
    """An answer that nobody waits for any more is not said later."""
    queue = SendQueue()
    with pytest.raises(TooOld):
        await queue.put("#c", ["late"], False, 0.01)
    assert len(queue) == 0
    assert queue.next(anywhere) is None


async def test_the_queue_is_bounded_and_chatter_gives_way_to_verdicts() -> None:
    """The newest chatter is refused; the oldest gives way to something urgent."""
    queue = SendQueue(max_items=2, max_bytes=100)
    first = queue.put("#c", ["a"], False, 60)
    second = queue.put("#c", ["b"], False, 60)
    with pytest.raises(QueueFull):
        await queue.put("#c", ["c"], False, 60)
    third = queue.put("#c", ["V"], True, 60)
    with pytest.raises(QueueFull):
        await first
    with pytest.raises(QueueFull):
        await queue.put("#c", ["x" * 101], True, 60)
    assert not third.done()
    assert isinstance(second.exception(), QueueFull)


async def test_an_empty_text_is_said_at_once_and_a_cancelled_one_never() -> None:
    """Nothing is left in the queue by either."""
    queue = SendQueue()
    assert queue.put("#c", [], False, 60).done()
    queue.put("#c", ["x"], False, 60).cancel()
    assert queue.next(anywhere) is None
    assert len(queue) == 0


async def test_whoever_waits_for_something_to_say_is_woken() -> None:
    """A new line sets the event."""
    queue = SendQueue()
    waiter = asyncio.create_task(queue.changed.wait())
    await asyncio.sleep(0)
    queue.put("#c", ["x"], False, 60)
    assert await waiter
