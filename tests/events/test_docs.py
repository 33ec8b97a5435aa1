"""docs/EVENTS.md tells everything that a stream does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from ferrotype.domain.event import EVENT_TYPES
from ferrotype.http.streams import schemas, websocket
from ferrotype.http.streams.scopes import INLINE
from ferrotype.services.event_settings import EventSettings
from tests.flows.harness import Client

TEXT = (Path(__file__).parents[2] / "docs" / "EVENTS.md").read_text(encoding="utf-8")


def test_every_type_has_a_row() -> None:
    section = TEXT.split("## Types")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(EVENT_TYPES)


def test_every_field_of_every_event_is_named() -> None:
    for model in get_args(schemas.AnyEvent):
        for field in model.model_fields:
            assert f"`{field}`" in TEXT, f"{model.__name__}.{field}"
    for field in schemas.InlineBody.model_fields:
        assert f'"{field}"' in TEXT, field


def test_every_setting_and_choice_is_named() -> None:
    for setting in EventSettings.declared():
        assert setting.env in TEXT, setting.env
    for choice in INLINE:
        assert f"| `{choice}` |" in TEXT, choice


def test_every_close_code_is_explained() -> None:
    for code in (websocket.TOO_LARGE, websocket.BROKEN, websocket.RESTARTS, websocket.STALLED):
        assert f"| {code} |" in TEXT, code


async def test_every_option_is_described(client: Client) -> None:
    document = (await client.get("/openapi.json")).json
    for path in document["paths"]:
        if path.endswith("/events"):
            assert f"`GET {path}`" in TEXT
            for parameter in document["paths"][path]["get"]["parameters"]:
                if parameter["in"] == "query":
                    assert f"| `{parameter['name']}` |" in TEXT, parameter["name"]
