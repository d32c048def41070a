"""Read Gerrit's JSON about changes: from its entities to our nouns, and the proof of a draft. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.model.change import Change, ChangeStatus, Comment, Draft, Vote, blob_id

REGULAR = 0o100644
#: kinds of a patch set that carry the same edit as the one before (rest-api-changes, RevisionInfo)
_SAME_EDIT = frozenset({"NO_CHANGE", "NO_CODE_CHANGE", "TRIVIAL_REBASE", "TRIVIAL_REBASE_WITH_MESSAGE_UPDATE"})

Json = Mapping[str, Any]


def moment(text: str) -> datetime:
    """Gerrit's "yyyy-mm-dd hh:mm:ss.fffffffff", which is UTC."""
    whole, _, fraction = text.partition(".")
    at = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return at.replace(microsecond=int((fraction + "000000")[:6]))


def account(info: Json) -> str:
    """An account's username, else its name, else its number."""
    return str(info.get("username") or info.get("name") or info.get("_account_id") or "")


def same_message(one: str, other: str) -> bool:
    """Whether two commit messages are the same; git ends them with a newline, Gerrit's JSON does not."""
    return one.rstrip("\n") == other.rstrip("\n")


def change_of(info: Json) -> Change:
    """A ChangeInfo as ours; what was not asked for stays empty."""
    current = str(info.get("current_revision", ""))
    revision: Json = info.get("revisions", {}).get(current, {})
    commit: Json = revision.get("commit", {})
    submitted = info.get("submitted")
    return Change(
        number=int(info["_number"]),
        change_id=str(info["change_id"]),
        project=str(info["project"]),
        branch=str(info["branch"]),
        subject=str(info["subject"]),
        status=ChangeStatus(info["status"]),
        revision=current,
        parent=_parent(commit),
        message=str(commit.get("message", "")),
        files=_files(revision),
        submittable=bool(info.get("submittable", False)),
        votes=tuple(_votes(info)),
        submitted=moment(submitted) if submitted else None,
        uploader=account(revision.get("uploader", {})),
        owner=account(info.get("owner", {})),
        work_in_progress=bool(info.get("work_in_progress", False)),
    )


def _parent(commit: Json) -> str:
    parents = commit.get("parents") or [{}]
    return str(parents[0].get("commit", ""))


def _files(revision: Json) -> dict[str, tuple[str, str, int]]:
    return {
        path: (str(f.get("status", "M")), str(f.get("new_sha", "")), int(f.get("new_mode", 0)))
        for path, f in revision.get("files", {}).items()
        if not path.startswith("/")
    }


def _votes(info: Json) -> Iterator[Vote]:
    for label, details in info.get("labels", {}).items():
        for vote in details.get("all", ()):
            if vote.get("value"):
                at = moment(vote["date"]) if vote.get("date") else None
                yield Vote(label, int(vote["value"]), account(vote), at)


def comment_of(info: Json) -> Comment:
    """A ChangeMessageInfo as ours; its author by username alone, for a display name is anybody's to choose."""
    author = info.get("author", {})
    number = f"#{author['_account_id']}" if "_account_id" in author else ""
    return Comment(
        id=str(info["id"]),
        author=str(author.get("username") or number),
        text=str(info.get("message", "")),
        at=moment(info["date"]),
        patch_set=int(info.get("_revision_number", 0)),
    )


def is_blank(info: Json, draft: Draft) -> bool:
    """Whether the change is as our create leaves it: one empty patch set on the right base."""
    current = info.get("current_revision", "")
    revision: Json = info.get("revisions", {}).get(current, {})
    return (
        len(info.get("revisions", {})) == 1
        and not _files(revision)
        and _parent(revision.get("commit", {})) == draft.base
        and same_message(revision.get("commit", {}).get("message", ""), draft.message)
    )


def holds(revision: Json, draft: Draft) -> bool:
    """Whether a patch set is the draft: its files, their blob ids and modes, its message and its parent."""
    commit: Json = revision.get("commit", {})
    files: Json = revision.get("files", {})
    if _parent(commit) != draft.base or not same_message(commit.get("message", ""), draft.message):
        return False
    if set(_files(revision)) != set(draft.files):
        return False
    return all(_holds_file(files[path], content) for path, content in draft.files.items())


def _holds_file(file: Json, content: bytes) -> bool:
    status = file.get("status", "M")
    mode = file.get("old_mode", REGULAR) if status == "M" else REGULAR
    return status in "MA" and file.get("new_sha") == blob_id(content) and file.get("new_mode") == mode


def carries(info: Json, draft: Draft) -> bool:
    """Whether the change's current patch set is the draft, or the draft as the submit moved it."""
    revisions = _in_order(info)
    for index, (_, revision) in enumerate(revisions):
        if holds(revision, draft):
            return _only_moved(revisions[index + 1 :], info)
    return False


def descends(info: Json, sha: str) -> bool:
    """Whether the current patch set is that one, or that one moved onto a newer tip by the submit."""
    revisions = _in_order(info)
    for index, (name, _) in enumerate(revisions):
        if name == sha:
            return _only_moved(revisions[index + 1 :], info)
    return False


def _only_moved(later: list[tuple[str, Json]], info: Json) -> bool:
    """An open change must not have moved at all: a patch set that is not ours is never voted on."""
    if info.get("status") != ChangeStatus.MERGED:
        return not later
    return all(revision.get("kind") in _SAME_EDIT for _, revision in later)


def _in_order(info: Json) -> list[tuple[str, Json]]:
    return sorted(info.get("revisions", {}).items(), key=lambda pair: int(pair[1].get("_number", 0)))
