"""Reads what helmfile, helm and our job files say of releases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.host import Release


def documents(text: bytes) -> list[Any]:
    """The JSON documents in a text, one after the other.

    Raises:
        PermanentError: it is not JSON.
    """
    found, rest, decoder = [], text.decode(errors="replace").strip(), json.JSONDecoder()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError as error:
            raise PermanentError("helmfile or helm gave something that is not JSON") from error
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def releases(listed: bytes, revisions: bytes) -> tuple[Release, ...]:
    """Helmfile's list joined with helm's: what `releases.json` and `revisions.json` of a job say together."""
    return _joined(documents(listed), documents(revisions))


def _joined(listed: Sequence[Any], revisions: Sequence[Any]) -> tuple[Release, ...]:
    live = {
        (str(entry.get("name")), str(entry.get("namespace"))): entry for array in revisions for entry in array or ()
    }
    wanted = [entry for array in listed for entry in array or () if _installs(entry)]
    return tuple(_release(entry, live.get((str(entry["name"]), str(entry["namespace"])))) for entry in wanted)


def from_live(text: bytes) -> tuple[Release, ...]:
    """What `commands.list_live` printed: helmfile's list, then helm's of each namespace."""
    listed, *revisions = documents(text) or [[]]
    return _joined([listed], revisions)


def with_descriptions(found: Sequence[Release], text: bytes) -> tuple[Release, ...]:
    """What `commands.describe` printed, added to the releases it was asked for."""
    known: dict[str, list[Any]] = {}
    for document in documents(text):
        if isinstance(document, str):
            name = document
            known[name] = []
        else:
            known[name].append(document)
    return tuple(_described(release, known.get(release.name, [])) for release in found)


def _described(release: Release, said: Sequence[Any]) -> Release:
    history = said[0] if said else ()
    labels = said[1] if len(said) > 1 else {}
    notes = {int(entry.get("revision", 0)): str(entry.get("description", "")) for entry in history or ()}
    words = {str(key): str(value) for key, value in labels.items()}
    return replace(release, description=notes.get(release.revision, ""), labels=words)


def _installs(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("enabled", True)) and bool(entry.get("installed", True))


def _release(entry: Mapping[str, Any], live: Mapping[str, Any] | None) -> Release:
    found = Release(str(entry["name"]), str(entry["namespace"]), str(entry.get("chart", "")))
    if live is None:
        return found
    return replace(
        found,
        chart=str(live.get("chart", found.chart)),
        revision=int(live.get("revision", 0)),
        status=str(live.get("status", "")),
    )


def digests(text: bytes) -> dict[str, str]:
    """What `diff.releases` of a job says: release -> SHA-256 of its part of the diff."""
    lines = (line.split() for line in text.decode(errors="replace").splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}
