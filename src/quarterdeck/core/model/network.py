"""What a chat network calls its own things, for sentences that are assembled elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkWords:
    """A network's own words; clauses without a full stop.

    Attributes:
        unidentified: why somebody without an account cannot be known, addressed to that person.
        identify: what that person does about it, as an order.
        accounts_hidden: that nobody can be known just now, and what the network would call the reason.
    """

    unidentified: str
    identify: str
    accounts_hidden: str


PLAIN_WORDS = NetworkWords(
    unidentified="this network does not vouch for you, so I cannot know you",
    identify="identify yourself there",
    accounts_hidden="this network vouches for nobody just now",
)
"""For a network that has no words of its own."""
