"""The list of rules. A new one is a file of its own, an entry here, and its sentence in `views/`."""

from __future__ import annotations

from quarterdeck.core.rules.beginners import BeginnersAreAsked
from quarterdeck.core.rules.deployers import MayDeploy
from quarterdeck.core.rules.identified import IsIdentified
from quarterdeck.core.rules.known_person import IsInTheCatalogue
from quarterdeck.core.rules.nothing_taken_away import TakingAwayIsAsked
from quarterdeck.core.rules.production import ProductionIsAsked
from quarterdeck.core.rules.ruling import Rule
from quarterdeck.core.rules.service_rooms import IsSaidInAServiceRoom
from quarterdeck.core.rules.surprises import SurprisesAreAsked

#: the first that refuses is the one that is told
RULES: tuple[Rule, ...] = (
    IsIdentified(),
    IsInTheCatalogue(),
    IsSaidInAServiceRoom(),
    MayDeploy(),
    TakingAwayIsAsked(),
    ProductionIsAsked(),
    SurprisesAreAsked(),
    BeginnersAreAsked(),
)
