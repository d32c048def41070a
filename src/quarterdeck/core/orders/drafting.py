"""Makes a rollout of an order: who asked, the first steps, and the facts that later words and steps need."""

from __future__ import annotations

import hashlib
import secrets
import statistics
from dataclasses import replace

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.question import Question
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.order import Order
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.records import Briefing
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.rules.asking import question
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.situation import Situation


class Drafting:
    """Makes rollouts of orders; saves nothing."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        voice: Voice,
        redactor: Redactor,
        pipelines: Pipelines,
        clock: Clock,
    ) -> None:
        self.catalogue, self.store, self.voice = catalogue, store, voice
        self.redactor, self.pipelines, self.clock = redactor, pipelines, clock

    async def drafted(self, actor: Actor, order: Order, takeover: tuple[int, ...]) -> Rollout:
        """The rollout, not yet accepted: it has no number and holds nothing."""
        assert actor.person is not None, "the rules let nobody through whom the catalogue does not know"
        rollout_id = secrets.token_hex(8)
        running = _running(order.situation)
        bad = next((running[e] for e in order.places if running.get(e) not in ("", order.tag)), "")
        briefing = Briefing(
            nick=actor.nick,
            running=running,
            running_by_part={name: _running(seen) for name, seen in order.situation.parts.items()},
            git=dict(order.situation.git),
            bad_tag=order.situation.git.get(order.places[0], bad),
            timeouts={place: _timeout(order, place) for place in order.places},
            absent=tuple(order.absent),
            files=tuple(sorted(order.plan.files)),
            ask_first=self._question(order.asking, rollout_id) if order.asking else None,
            takeover=takeover,
            commits=await self._commits(order),
            usual_gate=await self._usual_gate(),
        )
        return Rollout(
            id=rollout_id,
            kind=order.kind,
            subject=self._stored_subject(order),
            environments=order.places,
            tag=order.tag,
            before={place: _before(order, place) for place in order.places},
            actor=actor.person.name,
            shell=actor.person.shell,
            email=actor.person.email,
            account=f"{actor.network}:{actor.account}",
            home=actor.room or _room_on(actor.network, order.service),
            created=self.clock.now(),
            steps=self.pipelines.first_steps(order.kind, asks_first=order.asking is not None),
            intent=replace(order.intent, reason=self.redactor.text(order.intent.reason)),
            pending=order.pending,
            briefing=briefing,
        )

    def _stored_subject(self, order: Order) -> Subject:
        """What the order is about, with what the catalogue says just now of the environments it serves."""
        served = {order.subject.at(place)[1] for place in order.places}
        known_environments = self.catalogue.environments
        return replace(order.subject, environments={name: known_environments[name] for name in sorted(served)})

    def _question(self, asking: Grounds, rollout_id: str) -> Question:
        """What is asked before anything is written; its code stands for this rollout and these words."""
        text = self.voice.question(asking)
        return question(asking, text, hashlib.sha256(f"{rollout_id} {text}".encode()).hexdigest())

    async def _usual_gate(self) -> float:
        """Seconds the gate took lately, the median; 0 where too few merges are known to say."""
        done = await self.store.find({State.SUCCEEDED}, limit=20)
        seconds_taken = []
        for rollout in done:
            step, merged = rollout.step(StepName.MERGE), rollout.records.merged
            if step and merged and not merged.already and step.seconds:
                seconds_taken.append(step.seconds)
        return statistics.median(seconds_taken) if len(seconds_taken) >= 3 else 0.0

    async def _commits(self, order: Order) -> int:
        """How many merged changes lie between what runs and what is asked for; 0 where the ledger cannot tell."""
        own = order.subject.own
        one = own.images[:1] if own.part != ALL else ()  # parts are built apart
        known = await self.store.builds(image=one[0], limit=500) if one else ()
        merged = {own.in_git(b.tag): b.merged for b in known}
        old, new = order.situation.running(order.places[0]), order.tag
        if old not in merged or new not in merged:
            return 0
        return len({b.change for b in known if merged[old] < b.merged <= merged[new]})


def _room_on(network: str, service: Service) -> Room:
    """Where what was asked in private is told: a room of the service, on the network it was asked on if there is one."""
    same_network = (room for room in service.rooms if room.network == network)
    return next(same_network, service.rooms[0] if service.rooms else Room(network, ""))


def _timeout(order: Order, place: str) -> int:
    return order.snapshot.timeout(order.subject.at(place)[0].service.name)


def _running(situation: Situation) -> dict[str, str]:
    """Place -> the tag that runs there."""
    return {place: situation.running(place) for place in situation.serving}


def _before(order: Order, place: str) -> str:
    """The tag that runs; "" where several parts run several."""
    runs = [tag for tag, (_, pods) in order.situation.serving.get(place, {}).items() if pods]
    return "" if order.subject.part == ALL and len(runs) > 1 else order.situation.running(place)
