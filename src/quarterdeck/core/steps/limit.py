"""Right before the vote: Gerrit holds exactly the edit that is asked for, and that edit is within the bot's limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.vote_limit import prove
from quarterdeck.core.model.change import Change, blob_id
from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.rollout.records import Edited
from quarterdeck.core.steps.edit import plan_edit
from quarterdeck.core.steps.run import Run

_PLAIN, _EXECUTABLE = 0o100644, 0o100755


async def prove_change(run: Run, change: Change, edited: Edited, snapshot: Snapshot, services_dir: str) -> None:
    """Prove that a change is the edit of its own parent, and no more.

    Args:
        snapshot: the files at that parent, as the repository has them now.
        services_dir: folder whose entries are the services' folders.

    Raises:
        PermanentError: it is not; there must be no vote.
    """

    def computed() -> None:  # parsing may take long, and the loop must not wait
        check(change, edited.base, snapshot.files, plan_edit(run, snapshot).files, services_dir)

    try:
        await asyncio.to_thread(computed)
    except PermanentError as error:
        raise PermanentError(f"no vote on change {change.number}: {error}") from error


def check(
    change: Change, base: str, before: Mapping[str, bytes], after: Mapping[str, bytes], services_dir: str
) -> None:
    """Whether a change, as Gerrit tells it, makes *after* of *before*, and whether it may.

    Args:
        change: with its files.
        base: commit that *before* is from.
        before: path -> content at the base.
        after: path -> new content, of the files that change.
        services_dir: folder whose entries are the services' folders.

    Raises:
        PermanentError: it does not, or may not.
    """
    if change.parent != base:
        raise PermanentError(f"its parent is {change.parent[:12] or 'unknown'}, the edit was computed from {base[:12]}")
    if not after or change.files.keys() != after.keys():
        raise PermanentError(f"it touches {', '.join(sorted(change.files)) or 'nothing'}, not what the edit touches")
    for path, (status, blob, mode) in change.files.items():
        if status != ("M" if path in before else "A") or mode not in (
            {_PLAIN, _EXECUTABLE} if status == "M" else {_PLAIN}
        ):
            raise PermanentError(f"{path} is no longer the plain file it has to be")
        if blob != blob_id(after[path]):
            raise PermanentError(f"{path} has another content there than the edit gives it")
    prove(before, after, services_dir)
