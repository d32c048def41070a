"""Finds the image tags of a service in its helmfile values and moves them, changing those bytes and nothing else.

Pure functions over file texts. `facade` is what the bot uses, `bump` what the command-line tool uses; a file each:
`reading` (helmfiles), `template` (their expressions), `sharers` (who reaches a file), `document` (a values file),
`keys` (what is a tag), `service` (layers, which scalar wins), `parts`, `images` (what releases run), `choosing`,
`bykey`, `pinning` (what a request means), `splice` (bytes), `proof` and `patch` (the diff). `limit` is the second
opinion before the bot's vote. Importing this package imports none of them: the tool starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarterdeck.core.rollout.rollout import ALL
    from quarterdeck.core.values.facade import (
        EditPlan,
        Found,
        effective,
        environments,
        home,
        joined,
        parts_of,
        plan,
        release_images,
        tags_of,
        timeout,
    )
    from quarterdeck.core.values.images import PartFound, ReleaseImage
    from quarterdeck.core.values.parts import Known

__all__ = [
    "ALL",
    "EditPlan",
    "Found",
    "Known",
    "PartFound",
    "ReleaseImage",
    "effective",
    "environments",
    "home",
    "joined",
    "parts_of",
    "plan",
    "release_images",
    "tags_of",
    "timeout",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from quarterdeck.core.values import facade

    return getattr(facade, name)
