"""What is declared and what is sent can't drift: snapshots, and a probe of each declared capability."""

from __future__ import annotations

from typing import Any

import pytest

from ferrotype.domain.problems import RequestProblem
from tests.providers.payloads.capture import (
    CASES,
    CATALOGUE,
    SNAPSHOTS,
    Case,
    another,
    order_of,
    payload,
    request_of,
    sent,
    snapshot,
)

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@EACH
async def test_the_payload_is_the_one_that_was_agreed_on(case: Case) -> None:
    assert await payload(case) == snapshot(case).read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    assert {path.name for path in SNAPSHOTS.glob("*.json")} == {snapshot(case).name for case in CASES}


def probes(case: Case) -> list[tuple[str, dict[str, Any]]]:
    """(what is changed, the change) of everything that the model declares."""
    can, operation = case.model.capabilities, CATALOGUE.operations[case.operation]
    base = order_of(case)
    found: list[tuple[str, dict[str, Any]]] = []
    if can.prompt != "none" and operation.prompt != "none":
        found.append(("prompt", {"prompt": "a lighthouse"}))
    if can.negative_prompt:
        found.append(("negative_prompt", {"negative_prompt": "fog"}))
    if can.seed:
        found.append(("seed", {"seed": 8}))
    if can.styles and can.prompt != "none":
        found.append(("style", {"style": "artistic"}))
    cannot = case.deployment.cannot
    found += [(f"format {name}", {"format": name}) for name in can.formats if f"format.{name}" not in cannot]
    if can.size == "free" and can.sizes is None:
        side = -(-can.min_side // can.multiple) * can.multiple
        found.append(("size", {"width": side, "height": side}))
    ratios = can.aspect_ratios or list(CATALOGUE.aspect_ratios)
    if can.size == "free" and len(ratios) > 1:
        found.append(("aspect_ratio", {"aspect_ratio": ratios[1]}))
    if can.max_per_call > 1:
        found.append(("num_images", {"num_images": min(can.max_per_call, 10)}))
    most = min(can.max_images, operation.max_images)
    if most > len(base.references):
        found.append(("images", {"images": ["picture"] * most}))
    if can.mask and operation.mask == "optional" and base.mask is None:
        found.append(("mask", {"mask": "mask"}))
    for name, declared in can.params.items():
        value = another(declared, {**case.model.defaults, **base.params}.get(name))
        if value is not None and f"params.{name}" not in cannot:
            found.append((f"params.{name}", {"params": {name: value}}))
    return found


@EACH
async def test_every_declared_capability_is_sent(case: Case) -> None:
    found = probes(case)
    base, *changed = await sent(case, order_of(case), *[order_of(case, **change) for _, change in found])
    kept = [name for (name, _), text in zip(found, changed, strict=True) if text == base]
    # What is the same as the default changes nothing: a format that the model makes by itself.
    allowed = {f"format {case.model.defaults.get('output_format')}"}
    formats = [name for name in kept if name.startswith("format ")]
    if len(formats) == 1 and sum(name.startswith("format ") for name, _ in found) > 1:
        allowed.add(formats[0])
    assert [name for name in kept if name not in allowed] == []


@EACH
async def test_the_same_order_is_the_same_payload(case: Case) -> None:
    first, second = await sent(case, order_of(case), order_of(case))
    assert first == second


@EACH
def test_what_is_not_declared_is_refused(case: Case) -> None:
    can = case.model.capabilities
    wishes: list[dict[str, Any]] = [{"params": {"no_such_parameter": 1}}]
    if not can.negative_prompt:
        wishes.append({"negative_prompt": "fog"})
    if not can.seed:
        wishes.append({"seed": 7})
    if not can.styles:
        wishes.append({"style": "artistic"})
    if can.prompt == "none":
        wishes.append({"prompt": "a fox"})
    wishes += [{"format": name} for name in ("webp", "png", "jpeg") if name not in can.formats]
    for wish in wishes:
        with pytest.raises(RequestProblem):
            request_of(case, order_of(case, **wish))
