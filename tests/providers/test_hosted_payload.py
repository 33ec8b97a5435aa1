"""Templates of the catalogue: which pictures are sent, and tables that choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.hosted.payload import fill
from tests.providers.contract.rig import picture, png

FIRST, SECOND, THIRD, MASK = (picture(png(16 + index, 16)) for index in range(4))
REQUEST = AttemptRequest(
    attempt_id=new_id(),
    operation="edit",
    model="me/model",
    target="x",
    prompt="a fox",
    width=64,
    height=48,
    seed=7,
    images=(FIRST, SECOND, THIRD),
    mask=MASK,
    params={"direction": "left", "tiles": True, "size": 2},
)


async def filled(template: Mapping[str, Any], **changes: Any) -> tuple[dict[str, Any], list[InputImage]]:
    """The payload, and the pictures that were sent for it."""
    sent: list[InputImage] = []

    async def send(image: InputImage) -> str:
        sent.append(image)
        return f"file-{[FIRST, SECOND, THIRD, MASK].index(image)}"

    return await fill(template, replace(REQUEST, **changes), send), sent


@pytest.mark.parametrize(
    ("template", "payload", "sent"),
    [
        ({"a": "{prompt}"}, {"a": "a fox"}, []),
        ({"a": "{image}"}, {"a": "file-0"}, [FIRST]),
        ({"a": "{images}"}, {"a": ["file-0", "file-1", "file-2"]}, [FIRST, SECOND, THIRD]),
        ({"a": "{images.1}"}, {"a": "file-1"}, [SECOND]),
        ({"a": "{image}", "b": "{images.2}"}, {"a": "file-0", "b": "file-2"}, [FIRST, THIRD]),
        ({"a": "{images.0}", "b": "{image}"}, {"a": "file-0", "b": "file-0"}, [FIRST]),
        ({"a": ["{images.1}", "{images.3}"]}, {"a": ["file-1"]}, [SECOND]),
        ({"a": "{images.3}", "b": 5}, {"b": 5}, []),
        ({"a": {"b": "{mask}"}}, {"a": {"b": "file-3"}}, [MASK]),
    ],
)
async def test_only_pictures_that_are_named_are_sent_and_each_once(
    template: dict[str, Any], payload: dict[str, Any], sent: list[InputImage]
) -> None:
    assert await filled(template) == (payload, sent)


async def test_without_pictures_their_fields_are_left_out() -> None:
    template = {"a": "{image}", "b": "{images}", "c": "{images.1}", "d": "{mask}", "e": "{prompt}"}
    assert await filled(template, images=(), mask=None) == ({"e": "a fox"}, [])


LIGHT = {"{params.direction}": {"left": "Left Light", "right": "Right Light"}}


@pytest.mark.parametrize(
    ("template", "params", "payload"),
    [
        ({"light": LIGHT}, {"direction": "left"}, {"light": "Left Light"}),
        ({"light": LIGHT}, {"direction": "right"}, {"light": "Right Light"}),
        ({"light": LIGHT}, {"direction": "top"}, {}),
        ({"light": LIGHT}, {}, {}),
        ({"x": {"{params.tiles}": {"true": 4, "false": 0}}}, {"tiles": True}, {"x": 4}),
        ({"x": {"{params.tiles}": {"true": 4, "false": 0}}}, {"tiles": False}, {"x": 0}),
        ({"x": {"{params.size}": {"2": "{width}", "4": "{height}"}}}, {"size": 2}, {"x": 64}),
        ({"x": {"{params.size}": {"2": {"a": "{seed}"}}}}, {"size": 2}, {"x": {"a": 7}}),
        ({"x": {"{params.size}": 5}}, {"size": 2}, {"x": {"{params.size}": 5}}),
    ],
    ids=str,
)
async def test_a_table_of_a_placeholder_chooses(
    template: dict[str, Any], params: dict[str, Any], payload: dict[str, Any]
) -> None:
    assert (await filled(template, params=params))[0] == payload


async def test_a_picture_that_is_not_chosen_is_not_sent() -> None:
    template = {"x": {"{params.direction}": {"left": "{image}", "right": "{images.1}"}}}
    assert await filled(template) == ({"x": "file-0"}, [FIRST])


@pytest.mark.parametrize(
    "template",
    [
        {"a": "{picture}"},
        {"a": "{images.first}"},
        {"a": {"{direction}": {"left": 1}}},
        {"{params.direction}": {"left": "no table of fields"}},
    ],
    ids=str,
)
async def test_templates_of_no_use_are_told(template: dict[str, Any]) -> None:
    with pytest.raises(ProviderMisconfigured, match="me/model"):
        await filled(template)
