"""Hold what is still to be said: urgent before chatter, aged out, bounded, and paced by a token bucket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from quarterdeck.chat.contract import ChatError, QueueFull, TooOld


class TokenBucket:
    """How fast lines may go out: `burst` at once, then `rate` a second; in debt after lines that had to go."""

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a line may go out; 0 when it may now."""
        self._refill(now)
        # The sum of many small refills may miss the whole token by a hair; a hair is no reason to wait again.
        return 0.0 if self._tokens >= 1 - 1e-6 else (1 - self._tokens) / self._rate

    def take(self, now: float) -> None:
        """Count a line that goes out."""
        self._refill(now)
        self._tokens -= 1

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


@dataclass(eq=False)
class Saying:
    """A text on its way."""

    target: str
    lines: deque[str]
    """What is not yet written; a line is split when its turn comes: the limit changes with our prefix."""
    urgent: bool
    future: asyncio.Future[None]
    size: int
    unconfirmed: int = 0
    """Pieces written and not yet confirmed by the server."""
    begun: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def fail(self, error: ChatError) -> None:
        """End it: not said."""
        if not self.future.done():
            self.future.set_exception(error)

    def settle(self) -> None:
        """End it well if all of it is written and confirmed."""
        if not self.lines and not self.unconfirmed and not self.future.done():
            self.future.set_result(None)


class SendQueue:
    """What waits to be said, in two lanes; order is kept within a lane and a target."""

    def __init__(self, max_items: int = 500, max_bytes: int = 256 * 1024) -> None:
        self._lanes: tuple[deque[Saying], deque[Saying]] = (deque(), deque())
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = 0
        self.changed = asyncio.Event()
        """Set whenever something may have become sayable or settled; whoever waits clears it."""

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes)

    def put(self, target: str, lines: list[str], urgent: bool, max_age: float) -> asyncio.Future[None]:
        """Queue lines for a target. Its future fails with TooOld after `max_age` seconds in the queue."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(_look)  # whoever said it need not wait for it
        saying = Saying(target, deque(lines), urgent, future, sum(len(line.encode()) for line in lines))
        if not lines:
            saying.settle()
            return future
        if not self._make_room(saying):
            saying.fail(QueueFull(f"too much waits to be said to {target}"))
            return future
        saying.timer = loop.call_later(max_age, self._expire, saying, max_age)
        self._lanes[0 if urgent else 1].append(saying)
        self._bytes += saying.size
        self.changed.set()
        return future

    def _make_room(self, saying: Saying) -> bool:
        def full() -> bool:
            return len(self) >= self._max_items or self._bytes + saying.size > self._max_bytes

        chatter = self._lanes[1]
        while full() and saying.urgent and (oldest := next((s for s in chatter if not s.begun), None)):
            self.drop(oldest, QueueFull("gave way to something urgent"))
        return not full()

    def _expire(self, saying: Saying, max_age: float) -> None:
        self.drop(saying, TooOld(f"could not be said to {saying.target} within {max_age:.0f} s"))

    def drop(self, saying: Saying, error: ChatError | None = None) -> None:
        """Take a text out, as failed when there is an error."""
        lane = self._lanes[0 if saying.urgent else 1]
        if saying in lane:
            lane.remove(saying)
            self._bytes -= saying.size
        if saying.timer:
            saying.timer.cancel()
        if error:
            saying.lines.clear()
            saying.fail(error)
        self.changed.set()

    def next(self, sayable: Callable[[str], bool]) -> Saying | None:
        """The text whose line goes next: urgent ones first, skipping targets that cannot be reached now."""
        for saying in self._waiting():
            if saying.over:
                self.drop(saying)
            elif sayable(saying.target):
                return saying
        return None

    def _waiting(self) -> Iterator[Saying]:
        for lane in self._lanes:
            yield from tuple(lane)


def _look(future: asyncio.Future[None]) -> None:
    """Look at the error, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()
