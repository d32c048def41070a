"""Where a rollout stands, and the lawful moves between the states."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a rollout stands."""

    PLANNED = "PLANNED"  #: understood, nothing begun
    RUNNING = "RUNNING"  #: the worker is on it
    WAITING = "WAITING"  #: a person is to answer
    FAILED = "FAILED"  #: ended short of its aim; what serves is known
    UNKNOWN = "UNKNOWN"  #: the end of an effect could not be proven
    SUCCEEDED = "SUCCEEDED"  #: the new pods run and stayed up
    ABORTED = "ABORTED"  #: stopped by a person, a deadline or a newer command


class Move(StrEnum):
    """What may happen to a rollout."""

    CONFIRM = "confirm"  #: worker takes it up
    STEP = "step"  #: a step began or ended
    PAUSE = "pause"  #: a question is open
    APPROVE = "approve"  #: the question was answered yes
    FINISH = "finish"
    FAIL = "fail"
    LOSE = "lose"  #: an effect's end cannot be proven
    ABORT = "abort"
    RETRY = "retry"


_S, _M = State, Move


MOVES: Mapping[State, Mapping[Move, State]] = {
    _S.PLANNED: {_M.CONFIRM: _S.RUNNING, _M.ABORT: _S.ABORTED},
    _S.RUNNING: {
        _M.STEP: _S.RUNNING,
        _M.PAUSE: _S.WAITING,
        _M.FINISH: _S.SUCCEEDED,
        _M.FAIL: _S.FAILED,
        _M.LOSE: _S.UNKNOWN,
        _M.ABORT: _S.ABORTED,
    },
    _S.WAITING: {_M.APPROVE: _S.RUNNING, _M.ABORT: _S.ABORTED},
    _S.FAILED: {_M.RETRY: _S.RUNNING, _M.ABORT: _S.ABORTED},
    _S.UNKNOWN: {_M.RETRY: _S.RUNNING, _M.ABORT: _S.ABORTED},
    _S.SUCCEEDED: {},
    _S.ABORTED: {},
}


OVER = frozenset(state for state, moves in MOVES.items() if not moves)


#: these keep their targets; FAILED keeps its debt, never its targets
HOLDING = frozenset({State.RUNNING, State.WAITING, State.UNKNOWN})
