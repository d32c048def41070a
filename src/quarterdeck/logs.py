"""Law 13 for the process's own log: messages, arguments and tracebacks pass the redactor before any handler."""

from __future__ import annotations

import logging

from quarterdeck.core.redaction.redactor import Redactor


class _RedactingFilter(logging.Filter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor, self._formatter = redactor, logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; drop nothing."""
        record.msg, record.args = self._redactor.text(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = self._redactor.text(self._formatter.formatException(record.exc_info))
        return True


def redact_logs(redactor: Redactor) -> None:
    """Put the redactor before every handler of the root logger; one for each handler, however often it is called."""
    for handler in logging.getLogger().handlers:
        for old in [f for f in handler.filters if isinstance(f, _RedactingFilter)]:
            handler.removeFilter(old)
        handler.addFilter(_RedactingFilter(redactor))
