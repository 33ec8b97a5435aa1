"""What the client of a WebSocket may say."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ferrotype.domain.problems import InvalidField, MalformedRequest, Problem
from ferrotype.http.checks import known
from ferrotype.http.problems import from_validation
from ferrotype.http.streams.scopes import Options, Scope, read_types
from ferrotype.services.inline import Inline

#: The same bound as that of a number in `Last-Event-ID`.
MAX_NUMBER: Final = 10**18 - 1
TYPES: Final = ("subscribe", "unsubscribe", "ping", "pong")

Name = Annotated[
    str, Field(min_length=1, max_length=64, description="The client's own, unique on its socket.")
]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Subscribe(_Message):
    """Follow one generation, one batch, or the account."""

    type: Literal["subscribe"]
    subscription: Name
    generation_id: str | None = None
    batch_id: str | None = None
    account: bool = False
    after: int | None = Field(None, ge=0, le=MAX_NUMBER, description="Resume after the event of this number.")
    types: list[str] | None = Field(None, description="Only these.")
    inline: Inline | None = Field(None, description="Pictures in the events themselves.")
    previews: bool = True

    def scope(self, account_id: str) -> Scope:
        """What is to be followed. Raises InvalidField, NotFound."""
        given = [
            name
            for name in ("generation_id", "batch_id", "account")
            if getattr(self, name) not in (None, False)
        ]
        if len(given) != 1:
            raise InvalidField(
                "Name one of generation_id, batch_id and account.",
                field=given[1] if given else "generation_id",
            )
        if self.account:
            return Scope("account", account_id)
        if self.batch_id is not None:
            return Scope("batch", known(self.batch_id, "batch"))
        return Scope("generation", known(self.generation_id or "", "generation"))

    def options(self) -> Options:
        """Raises InvalidField."""
        return Options(read_types(self.types), self.inline, self.previews)


class Unsubscribe(_Message):
    """Hear no more of a subscription."""

    type: Literal["unsubscribe"]
    subscription: Name


class Ping(_Message):
    """Is answered by `pong`."""

    type: Literal["ping"]


class Pong(_Message):
    """An answer to the server's `ping`; nobody has to give one."""

    type: Literal["pong"]


Request = Subscribe | Unsubscribe | Ping | Pong
_REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="type")])


class Refused(Exception):
    """A message that cannot be followed; `subscription` is the one that it is about, if it names one."""

    def __init__(self, problem: Problem, subscription: str | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.subscription = subscription


def parse(text: str) -> Request:
    """The request in a text message. Raises Refused."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(MalformedRequest("The message is not valid JSON.", field="message")) from None
    if not isinstance(data, dict):
        raise Refused(MalformedRequest("A message is a JSON object.", field="message"))
    named = data.get("subscription")
    subscription = named if isinstance(named, str) and len(named) <= 64 else None
    if data.get("type") not in TYPES:
        raise Refused(
            InvalidField("There is no message of that type.", field="type", limit=TYPES), subscription
        )
    try:
        return _REQUEST.validate_python(data)
    except ValidationError as error:
        errors: list[Any] = error.errors()
        for each in errors:
            each["loc"] = each["loc"][1:] or ("message",)  # without the name of the alternative
        raise Refused(from_validation(errors), subscription) from None
