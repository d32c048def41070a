"""Gives the catalogue's rooms and accounts the names that their networks give them, so that all compare exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.chat.contract import Transport
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.person import Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service


def with_canonical_names(catalogue: Catalogue, transports: Mapping[str, Transport]) -> Catalogue:
    """The catalogue with each room and account under its canonical name; those of unknown networks stay."""

    def canonical_room(room: Room) -> Room:
        transport = transports.get(room.network)
        return transport.room(room.name) if transport else room

    def canonical_account(network: str, account: str) -> str:
        transport = transports.get(network)
        return transport.account(account) if transport else account

    def service_renamed(service: Service) -> Service:
        return replace(service, rooms=tuple(map(canonical_room, service.rooms)))

    def person_renamed(person: Person) -> Person:
        accounts = {network: canonical_account(network, account) for network, account in person.accounts.items()}
        return replace(person, accounts=accounts)

    return replace(
        catalogue,
        people={name: person_renamed(person) for name, person in catalogue.people.items()},
        services={name: service_renamed(service) for name, service in catalogue.services.items()},
    )
