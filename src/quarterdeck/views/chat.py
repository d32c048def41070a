"""The voice of the running bot: events become lines, refusals and reasons become sentences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from quarterdeck.core.builds.events import BuildEvent
from quarterdeck.core.model.answer import Answer
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.event import Event
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.events import ApplyEvent, RolloutEvent
from quarterdeck.views.answers import answer_lines
from quarterdeck.views.builds import build_lines
from quarterdeck.views.events import rollout_line
from quarterdeck.views.questions import reason_sentence
from quarterdeck.views.refusals import NO_NETWORKS, Networks, refusal_line, refusal_told
from quarterdeck.views.sal import sal_line
from quarterdeck.views.sentences import Sentences


class ChatVoice:
    """Voice port: lines for the rollout's home room, for a service's rooms, or for the server admin log."""

    def __init__(
        self,
        templates: Path,
        catalogue: Catalogue,
        page_url: str,
        host_name: str,
        now: Callable[[], datetime],
        networks: Networks = NO_NETWORKS,
    ) -> None:
        self._sentences = Sentences(templates / "chat")
        self._catalogue, self._page_url, self._host_name = catalogue, page_url.rstrip("/"), host_name
        self._now, self._networks = now, networks

    def lines(self, event: Event) -> tuple[Line, ...]:
        """The lines that tell of an event, each for the room where it belongs."""
        sentences, now, catalogue = self._sentences, self._now(), self._catalogue
        match event:
            case RolloutEvent():
                line = rollout_line(event, sentences, now, self._page_url)
                return (line,) if line.text else ()
            case ApplyEvent():
                return (sal_line(event, sentences, now, self._host_name, catalogue.charts.services_dir),)
            case BuildEvent():
                return build_lines(event, sentences, now, catalogue.environments)
        raise NotImplementedError(f"no words for {event!r}")

    def refusal(self, refusal: Refusal, begun: bool = False) -> str:
        """What is said to somebody who is refused; ends with "Nothing done" unless something was *begun* already."""
        say = refusal_told if begun else refusal_line
        return say(refusal, self._networks)

    def answer(self, answer: Answer) -> tuple[str, ...]:
        """The lines for a person who asked, or whose command made no rollout."""
        return answer_lines(answer, self._page_url)

    def question(self, reason: Reason) -> str:
        """What a person is asked, in half a line."""
        return reason_sentence(reason)


class RedactedVoice:
    """A voice whose every word is redacted."""

    def __init__(self, voice: Voice, redactor: Redactor) -> None:
        self._voice, self._redactor = voice, redactor

    def lines(self, event: Event) -> tuple[Line, ...]:
        """See `core.ports.Voice`."""
        return tuple(line.with_texts(self._redactor.text) for line in self._voice.lines(event))

    def refusal(self, refusal: Refusal, begun: bool = False) -> str:
        """See `core.ports.Voice`."""
        return self._redactor.text(self._voice.refusal(refusal, begun))

    def answer(self, answer: Answer) -> tuple[str, ...]:
        """See `core.ports.Voice`."""
        return tuple(map(self._redactor.text, self._voice.answer(answer)))

    def question(self, reason: Reason) -> str:
        """See `core.ports.Voice`."""
        return self._redactor.text(self._voice.question(reason))
