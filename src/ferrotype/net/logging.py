"""One log, one form: structlog for our own lines, the same formatting for every library's.

What is bound with `structlog.contextvars.bind_contextvars(generation_id=...)` appears on every line
that is written inside that context, also on those of libraries.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ferrotype.net.settings import LogSettings

HIDDEN: Final = "[hidden]"
#: A key is secret when one of its words is here, or `key` stands beside one of KEY_KINDS.
SECRET_WORDS: Final = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "passwd",
        "password",
        "secret",
        "signature",
        "token",
    }
)
KEY_KINDS: Final = frozenset({"access", "api", "private", "secret", "signing"})
#: Secret by their words only: the fencing number of a lease opens nothing.
HARMLESS_KEYS: Final = frozenset({"fencing_token"})
WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
#: Libraries that put handlers of their own on their loggers, or would if they found none.
TAKEN_OVER: Final = (
    "_granian",
    "granian.access",
    "alembic",
    "aiohttp",
    "aiohttp.access",
    "asyncio",
    "py.warnings",
)
#: Libraries whose lines would drown ours, and from which level on they are heard. A warning of libvips is
#: about somebody's damaged file, for which there is a problem already.
QUIET: Final = {
    "asyncio": logging.WARNING,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "pyvips": logging.ERROR,
}


def granian_logging() -> dict[str, Any]:
    """For granian's `log_dictconfig`: it applies a configuration of its own when it starts, which would
    undo `configure`; with this one its lines go through ours."""
    return {
        "handlers": {},
        "formatters": {},
        "loggers": {
            "_granian": {"handlers": [], "propagate": True},
            "granian.access": {"handlers": [], "propagate": True},
        },
    }


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Route structlog and the standard library's logging to `stream` (the error stream by default).

    Can be called again; the last call wins. Other handlers on the root logger are removed.
    """
    stream = stream or sys.stderr
    console = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
        if console
        else [structlog.processors.JSONRenderer(default=str)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            *render,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.captureWarnings(True)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide values under secret keys, at any depth, and passwords inside addresses in any text."""
    return {key: _clean(key, value) for key, value in event.items()}


def is_secret(key: str) -> bool:
    """Whether values under `key` are hidden: by the key's words, in snake, kebab or camel case."""
    if key.lower() in HARMLESS_KEYS:
        return False
    words = {word.lower() for word in WORD.findall(key)}
    return bool(words & SECRET_WORDS or ("key" in words and words & KEY_KINDS))


def _clean(key: object, value: Any) -> Any:
    if isinstance(key, str) and is_secret(key) and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value) if "://" in value else value
    if isinstance(value, Mapping):
        return {inner: _clean(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(None, item) for item in value]
    return value
