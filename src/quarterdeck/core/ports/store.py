"""Everything that outlives the process, behind one door."""

from __future__ import annotations

from typing import Protocol

from quarterdeck.core.ports.audit import Audit
from quarterdeck.core.ports.builds import Builds
from quarterdeck.core.ports.cursors import Cursors
from quarterdeck.core.ports.debts import Debts
from quarterdeck.core.ports.inbox import Inbox
from quarterdeck.core.ports.outbox import Outbox
from quarterdeck.core.ports.rollouts import Rollouts


class Store(Rollouts, Debts, Outbox, Inbox, Builds, Audit, Cursors, Protocol):
    """What outlives the process: for whoever needs several of its parts, and for wiring."""
