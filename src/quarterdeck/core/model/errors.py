"""Every error raised on purpose, sorted by what follows from it.

QuarterdeckError
├── RequestError            the person can mend it: its refusal goes to chat, in the words of views
│   ├── NotAllowedError       who may, and what to do
│   ├── BusyError             who holds the target, and what to do
│   ├── WrongStateError       what is possible from here
│   ├── NotFoundError         what exists instead
│   └── NotYetError           we know the word and do not do it yet
├── AbsentError             an outside system has no such thing: whoever asked for it knows what that means
├── TemporaryError          the world is late or away: look again within the step's deadline
├── PermanentError          a retry is useless: the step fails and says why
│   └── EditRefusedError      the values files do not allow a safe edit
├── LostError               an effect may be in flight and its end cannot be proven: UNKNOWN
└── control, never shown
    ├── StopRequested         somebody raised the stop flag
    └── StaleError            somebody moved the rollout first
"""

from __future__ import annotations

from datetime import datetime


class QuarterdeckError(Exception):
    """Something we foresaw went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class Refusal:
    """What a request is refused for: base of frozen dataclasses that hold facts only.

    Each stands in the room that refuses; `views/refusals.py` has the sentences.
    """


class RequestError(QuarterdeckError):
    """The request cannot be done as it was said.

    Attributes:
        refusal: the facts.
    """

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(str(refusal))


class NotAllowedError(RequestError):
    """That account may not do this."""


class BusyError(RequestError):
    """The target is held by another rollout."""


class WrongStateError(RequestError):
    """That is not possible in the state the rollout is in."""


class NotFoundError(RequestError):
    """What was named is nothing that we know."""


class NotYetError(RequestError):
    """That is planned and not built yet."""


class AbsentError(QuarterdeckError):
    """An outside system has no such thing: no such folder, commit or file."""


class TemporaryError(QuarterdeckError):
    """The other side is late or away.

    Attributes:
        retry_after: seconds to wait before looking again.
    """

    def __init__(self, message: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(QuarterdeckError):
    """Trying again would end the same way."""


class EditRefusedError(PermanentError):
    """The values files do not allow a safe edit."""


class ConflictError(PermanentError):
    """Somebody else changed the same lines first: compute the edit again from the new tip."""


class LostError(QuarterdeckError):
    """The end of an effect cannot be proven.

    Attributes:
        started: when the effect was asked for, aware UTC, or None if even that is unknown.
    """

    def __init__(self, message: str = "", started: datetime | None = None) -> None:
        super().__init__(message)
        self.started = started


class StopRequested(QuarterdeckError):
    """Somebody asked the rollout to stop."""


class StaleError(QuarterdeckError):
    """Somebody moved the rollout first."""
