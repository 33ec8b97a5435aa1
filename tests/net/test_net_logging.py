"""Every line, ours or a library's, in one form; the generation id on it and no secret."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from granian.log import LogLevels, configure_logging
from hypothesis import given, settings
from hypothesis import strategies as st

from ferrotype.net.logging import HIDDEN, configure, granian_logging, is_secret
from ferrotype.net.settings import LogSettings


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_bound_generation_is_on_our_lines_and_on_those_of_libraries(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    structlog.contextvars.bind_contextvars(generation_id="gen_1")
    structlog.get_logger("ferrotype.services").info("started", model="a/b")
    logging.getLogger("granian.extra").info("upgrade %s", "head", extra={"step": 3})
    ours, theirs = lines(stream)
    assert ours["event"] == "started"
    assert ours["model"] == "a/b"
    assert (theirs["event"], theirs["step"]) == ("upgrade head", 3)
    for line in (ours, theirs):
        assert line["generation_id"] == "gen_1"
        assert line["level"] == "info"
        assert line["at"].endswith("Z")
    assert (ours["logger"], theirs["logger"]) == ("ferrotype.services", "granian.extra")


def test_granian_keeps_to_the_one_form_after_its_own_configuration(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    configure_logging(LogLevels.info, granian_logging(), True)
    logging.getLogger("_granian").info("Listening")
    logging.getLogger("granian.access").info("GET /")
    assert [line["event"] for line in lines(stream)] == ["Listening", "GET /"]


def test_the_level_holds_for_all(stream: io.StringIO) -> None:
    configure(LogSettings(log_level="warning"), stream)
    structlog.get_logger("a").info("no")
    logging.getLogger("b").info("no")
    structlog.get_logger("a").warning("yes")
    logging.getLogger("b").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes", "yes"]


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    try:
        raise RuntimeError("no way to postgresql://me:hunter2@db/x")
    except RuntimeError:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("b").exception("failed")
    for line in lines(stream):
        assert "RuntimeError: no way to" in line["exception"]
        assert "hunter2" not in line["exception"]


def test_secrets_are_hidden_at_any_depth(stream: io.StringIO) -> None:
    configure(LogSettings(), stream)
    structlog.get_logger("a").info(
        "sent to https://u:hunter2@host/x",
        api_key="hunter2",
        headers={"Authorization": "Bearer hunter2", "Accept": "*/*", "inner": [{"Set-Cookie": "hunter2"}]},
        webhook=("ok", {"signingKey": "hunter2"}),
        fencing_token=7,
        max_tokens=5,
        password=None,
    )
    assert "hunter2" not in stream.getvalue()
    (line,) = lines(stream)
    assert line["api_key"] == HIDDEN
    assert line["headers"]["Accept"] == "*/*"
    assert line["event"] == f"sent to https://u:{HIDDEN}@host/x"
    assert (line["fencing_token"], line["max_tokens"], line["password"]) == (7, 5, None)


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "api_key",
        "API_KEY",
        "apiKey",
        "X-Api-Key",
        "REPLICATE_API_TOKEN",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "db_password",
        "clientSecret",
        "secret_key",
        "aws_secret_access_key",
        "signature",
        "credentials",
    ],
)
def test_keys_that_are_secret(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "key",
        "idempotency_key",
        "cache_key",
        "tokens",
        "author",
        "secretary",
        "model",
        "status",
        "keyboard",
        "fencing_token",
    ],
)
def test_keys_that_are_not(key: str) -> None:
    assert not is_secret(key)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.text() | st.binary(), st.lists)))
def test_anything_can_be_logged(extra: dict[str, Any]) -> None:
    stream = io.StringIO()
    configure(LogSettings(log_format="json"), stream)
    structlog.get_logger("a").info("event", data=extra)
    assert len(stream.getvalue().splitlines()) == 1
    assert lines(stream)[0]["event"] == "event"


def test_console_is_for_people(stream: io.StringIO) -> None:
    configure(LogSettings(log_format="console"), stream)
    structlog.get_logger("a").info("started", model="a/b")
    assert "started" in stream.getvalue()
    assert "model" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stream)


def test_configuring_twice_writes_once(stream: io.StringIO) -> None:
    configure(LogSettings(), io.StringIO())
    configure(LogSettings(), stream)
    structlog.get_logger("a").info("once")
    assert len(lines(stream)) == 1
