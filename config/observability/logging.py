"""Logging: one structlog chain for this program's lines and those of libraries. Text on a terminal, else JSON."""

from __future__ import annotations

import functools
import logging
import logging.config
import os
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# The values of fields with these words in their names are never logged.
SECRET_WORDS = ("password", "secret", "token", "ticket", "api_key", "authorization", "cookie", "sessionid")
# ... except counts and durations whose names contain one of them.
HARMLESS = frozenset({"input_tokens", "output_tokens", "tokens", "first_token_ms"})

DETAIL = "\nDETAIL:"  # as psycopg writes it behind the error itself


def configure(options: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG. `options`: `level` (a level's name) and `format` (auto, human or json)."""
    terminal = sys.stderr.isatty() or "FORCE_COLOR" in os.environ
    human = options["format"] == "human" or (options["format"] == "auto" and terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
        structlog.processors.StackInfoRenderer(),
        hide_secrets,
        hide_rows,
    ]
    final: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if human:
        final.append(structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=36))
    else:
        shared.append(name_process)
        final += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {"()": structlog.stdlib.ProcessorFormatter, "foreign_pre_chain": shared, "processors": final}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                "asyncio": {"level": "WARNING"},  # only says which selector is used
                "daphne": {"level": "WARNING"},  # `serve` logs the same in fewer lines
                "celery.beat": {"level": "WARNING"},  # a line per job sent, every second
                "celery.app.trace": {"level": "WARNING"},  # a line per task done
                "celery.worker.strategy": {"level": "WARNING"},  # a line per task received
                "httpx2": {"level": "WARNING"},
                "opentelemetry": {"level": "CRITICAL"},  # `config.observability.tracing` logs one line a minute
                "django.request": {"level": "ERROR"},  # a 404 is in the access log
                "django.channels.server": {"level": "WARNING"},
            },
        }
    )
    logging.captureWarnings(capture=True)


def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Adds the name of the process, as `manage.py up` sets it. On a terminal `up` itself writes the name."""
    if name := os.environ.get("ANTIPHON_PROCESS"):
        event["process"] = name
    return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces the values of fields whose names contain one of `SECRET_WORDS`."""
    for name in event:
        if _is_secret(name):
            event[name] = "…"
    return event


@functools.lru_cache(1_000)  # every line has the same few names
def _is_secret(name: str) -> bool:
    low = name.lower()
    return name not in HARMLESS and any(word in low for word in SECRET_WORDS)


def hide_rows(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Removes DETAIL from PostgreSQL's errors: "Failing row contains (…)" quotes what somebody wrote."""
    found = event.get("exc_info")
    if not found:
        return event
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        if error.args and isinstance(error.args[0], str) and DETAIL in error.args[0]:
            error.args = (error.args[0].partition(DETAIL)[0], *error.args[1:])
        error = error.__cause__ or error.__context__
    return event
