"""Reads what helmfile, helm and our job files say of releases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.host import Release


def documents(text: bytes) -> list[Any]:
    """The JSON documents in a text, one after the other.

    Raises:
        PermanentError: it is not JSON.
    """
    decoder = json.JSONDecoder()
    unread = text.decode(errors="replace").strip()
    read: list[Any] = []
    while unread:
        try:
            document, end = decoder.raw_decode(unread)
        except ValueError as error:
            raise PermanentError("helmfile or helm gave something that is not JSON") from error
        read.append(document)
        unread = unread[end:].lstrip()
    return read


def releases(listed: bytes, revisions: bytes) -> tuple[Release, ...]:
    """Helmfile's list joined with helm's: what `releases.json` and `revisions.json` of a job say together."""
    return _joined(documents(listed), documents(revisions))


def from_live(text: bytes) -> tuple[Release, ...]:
    """What `commands.list_live` printed: helmfile's list, then helm's of each namespace."""
    listed, *revisions = documents(text) or [[]]
    return _joined([listed], revisions)


def _joined(listed: Sequence[Any], revisions: Sequence[Any]) -> tuple[Release, ...]:
    """The releases that helmfile would install, each with its live revision where helm has one."""
    live = {(str(entry.get("name")), str(entry.get("namespace"))): entry for entry in _entries(revisions)}
    installed = [entry for entry in _entries(listed) if _installs(entry)]
    return tuple(_release(entry, live.get((str(entry["name"]), str(entry["namespace"])))) for entry in installed)


def _entries(arrays: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The entries of several JSON arrays, some of which may be null."""
    for array in arrays:
        yield from array or ()


def _installs(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("enabled", True)) and bool(entry.get("installed", True))


def _release(entry: Mapping[str, Any], live: Mapping[str, Any] | None) -> Release:
    wanted = Release(str(entry["name"]), str(entry["namespace"]), str(entry.get("chart", "")))
    if live is None:
        return wanted
    return replace(
        wanted,
        chart=str(live.get("chart", wanted.chart)),
        revision=int(live.get("revision", 0)),
        status=str(live.get("status", "")),
    )


def with_descriptions(plain: Sequence[Release], text: bytes) -> tuple[Release, ...]:
    """The releases with what `commands.describe` printed of them: for each its name, its history, its labels."""
    by_name: dict[str, list[Any]] = {}
    for document in documents(text):
        if isinstance(document, str):
            name = document
            by_name[name] = []
        else:
            by_name[name].append(document)
    return tuple(_described(release, by_name.get(release.name, [])) for release in plain)


def _described(release: Release, told: Sequence[Any]) -> Release:
    """The release with the description of its live revision, and its labels."""
    history = told[0] if told else ()
    labels = told[1] if len(told) > 1 else {}
    descriptions = {int(entry.get("revision", 0)): str(entry.get("description", "")) for entry in history or ()}
    return replace(
        release,
        description=descriptions.get(release.revision, ""),
        labels={str(key): str(value) for key, value in labels.items()},
    )


def digests(text: bytes) -> dict[str, str]:
    """What `diff.releases` of a job says: release -> SHA-256 of its part of the diff."""
    digest_of: dict[str, str] = {}
    for line in text.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) == 2:
            release, digest = words
            digest_of[release] = digest
    return digest_of
