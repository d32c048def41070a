"""The checks of each kind of rollout, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.orders.checks.bumps_stay import NobodysNewerBumpIsUndone
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.checks.everybody_agrees import AloneIsForOneService, EverybodyTouchedAgrees
from quarterdeck.core.orders.checks.images_exist import TheImagesAreInTheRegistry, TheSaidImagesAreInTheRegistry
from quarterdeck.core.orders.checks.part_is_named import ThePartIsNamed
from quarterdeck.core.orders.checks.places_are_seen import ThePlacesCanBeSeen
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.store import Store
from quarterdeck.core.rollout.rollout import Kind


def checks_by_kind(
    catalogue: Catalogue, registry: Registry, store: Store, tagging: Tagging
) -> Mapping[Kind, tuple[Check, ...]]:
    """Kind -> its checks. A new one is a file of its own, an entry here, and its sentence in `views/refusals.py`."""
    return {
        Kind.DEPLOY: (
            ThePartIsNamed(tagging),
            EverybodyTouchedAgrees(catalogue),
            AloneIsForOneService(),
            ThePlacesCanBeSeen(),
            TheImagesAreInTheRegistry(registry),
            NobodysNewerBumpIsUndone(store),
        ),
        Kind.ROLLBACK: (
            ThePartIsNamed(tagging),
            EverybodyTouchedAgrees(catalogue),
            AloneIsForOneService(),
            ThePlacesCanBeSeen(),
            TheSaidImagesAreInTheRegistry(registry),
        ),
        Kind.APPLY: (ThePlacesCanBeSeen(),),
    }
