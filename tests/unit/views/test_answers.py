"""What is answered to who asked; the sentences themselves are tried where each command is."""

from __future__ import annotations

from quarterdeck.core.model.answer import Answer
from quarterdeck.views.answers import answer_lines


def test_every_answer_has_its_words() -> None:
    """No missing ones."""
    unspoken = answer_lines.dispatch(object)
    assert [kind for kind in Answer.__subclasses__() if answer_lines.dispatch(kind) is unspoken] == []
