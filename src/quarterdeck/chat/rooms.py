"""Gives the catalogue's rooms the names that their networks give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.chat.contract import Transport
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service


def with_canonical_rooms(catalogue: Catalogue, transports: Mapping[str, Transport]) -> Catalogue:
    """The catalogue with each room under the name that its network gives it, so that rooms can be compared exactly."""

    def canonical(room: Room) -> Room:
        transport = transports.get(room.network)
        return transport.room(room.name) if transport else room

    def with_rooms(service: Service) -> Service:
        return replace(service, rooms=tuple(map(canonical, service.rooms)))

    return replace(catalogue, services={name: with_rooms(service) for name, service in catalogue.services.items()})
