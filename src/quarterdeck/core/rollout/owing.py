"""What the edit of a rollout leaves owed, and what its proven places pay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.rollout import holding
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.rollout import Rollout

#: (service, environment, part)
Debtor = tuple[str, str, str]


@dataclass(frozen=True)
class Settlement:
    """Debts to be cleared, and then those to be recorded."""

    paid: tuple[Debtor, ...]
    debts: tuple[Debt, ...] = ()


def owed_after_merge(rollout: Rollout, now: datetime) -> Settlement:
    """From the merge on every place whose tag changed owes an apply until its pods were seen."""
    edit = rollout.records.edited or rollout.records.editing
    paid: list[Debtor] = []
    debts: list[Debt] = []
    effects = (edit.parts or {"": edit.effect}) if edit else {}
    for part, effect in effects.items():
        running = rollout.briefing.running_by_part.get(part) or rollout.briefing.running
        for place, (old, tag) in effect.items():
            if old == tag:
                continue
            # an earlier debt was taken back where what runs is what git says again, else this one is in its place
            debtor = holding.debtor(rollout, place, part)
            paid.append(debtor)
            nothing_runs = not running.get(place, tag)
            if tag != running.get(place) and (not nothing_runs or place in rollout.environments):
                debts.append(Debt(debtor[0], debtor[1], tag, rollout.number, rollout.actor, now, debtor[2]))
    return Settlement(tuple(paid), tuple(debts))


def paid_by(rollout: Rollout, places: Iterable[str], debts: Sequence[Debt]) -> Settlement:
    """Places whose pods were seen owe nothing more; but a tag that the pinned commit had not yet stays owed."""
    diffed = rollout.records.diffed
    paid: list[Debtor] = []
    for place in places:
        service, environment, part = holding.debtor(rollout, place)
        applied_tags = diffed.places[place].tags if diffed and place in diffed.places else ()
        for debt in debts:
            is_here = (debt.service, debt.environment) == (service, environment) and part in ("", debt.part)
            if is_here and (not applied_tags or debt.tag in applied_tags):
                paid.append((service, environment, debt.part))
    return Settlement(tuple(paid))
