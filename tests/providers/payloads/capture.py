"""What the catalogue's models really send: an order goes through the checks, the request and the provider to
the simulator, and what arrived there is the payload.

`python -m tests.providers.payloads.record` writes the snapshots anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Deployment, Model, Parameter
from ferrotype.domain.order import Order
from ferrotype.domain.problems import ProviderProblem, ProviderRejected
from ferrotype.providers.base import AttemptRequest, Provider
from ferrotype.providers.comfyui import ComfyUIProvider, ComfyUISettings
from ferrotype.services.check import resolve, size_like
from ferrotype.services.requests import attempt_request
from ferrotype.sim.comfyui import ComfySim
from tests.providers.contract.rig import picture, png

CATALOGUE: Final = load_catalogue(CatalogueSettings())
SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LOCAL_ADDRESS: Final = re.compile(r"https?://(127\.0\.0\.1|localhost):\d+[^\s\"]*")
#: Pictures of different bytes: each input must be told from the others in a payload.
PICTURES: Final = [png(64 + 16 * index, 48) for index in range(16)]
MASK: Final = png(64, 48, 255)


@dataclass(frozen=True)
class Case:
    """One way in which a model is offered."""

    model: Model
    operation: str
    deployment: Deployment

    @property
    def name(self) -> str:
        parts = (self.model.name.replace("/", "__"), self.operation, self.deployment.provider)
        return ".".join(parts)


CASES: Final = [
    Case(model, operation, deployment)
    for model in CATALOGUE.models.values()
    for operation in model.operations
    for deployment in model.deployments
    if deployment.provider != "local"  # it draws in this process: nothing is sent
]


def another(declared: Parameter, value: Any) -> Any:
    """A value that fits the parameter and is not `value`."""
    if declared.choices is not None:
        return next((choice for choice in declared.choices if choice != value), None)
    match declared.type:
        case "boolean":
            return not value
        case "string":
            return "other" if value != "other" else "else"
        case _:
            low = declared.minimum if declared.minimum is not None else 0
            high = declared.maximum if declared.maximum is not None else low + 10
            options = [low, high, (low + high) / 2]
            options = [int(each) for each in options] if declared.type == "integer" else options
            return next(each for each in options if each != value)


def order_of(case: Case, **changes: Any) -> Order:
    """The least order that the operation and the model take, with `changes`."""
    operation, can = CATALOGUE.operations[case.operation], case.model.capabilities
    wishes: dict[str, Any] = {"operation": case.operation, "model": case.model.name, "params": {}}
    if can.prompt != "none" and operation.prompt != "none":
        wishes["prompt"] = "a fox under the moon"
    wishes["images"] = ["picture"] * max(operation.min_images, can.min_images)
    if operation.mask == "required" or can.needs_mask:
        wishes["mask"] = "mask"
    if can.seed:
        wishes["seed"] = 7
    for wish in operation.needs_one_of:
        kind, _, name = wish.partition(".")
        if kind == "params" and name in can.params and "prompt" not in wishes:
            wishes["params"] = {name: another(can.params[name], case.model.defaults.get(name))}
    wishes["params"] = wishes["params"] | changes.pop("params", {})
    return Order.model_validate(wishes | changes)


def request_of(case: Case, order: Order) -> AttemptRequest:
    """What the server would ask of the provider. Raises what the checks raise."""
    resolved = resolve(order, case.model, CATALOGUE)
    if resolved["width"] is None:
        size = size_like(64, 48, case.model.capabilities)
        resolved |= {"width": size[0], "height": size[1]}
    return attempt_request(
        CATALOGUE,
        case.model,
        case.deployment,
        resolved,
        attempt_id=new_id(),
        operation=case.operation,
        count=order.num_images,
        images=[picture(PICTURES[index]) for index in range(len(order.references))],
        mask=picture(MASK) if order.mask else None,
    )


@asynccontextmanager
async def bench(kind: str) -> AsyncIterator[tuple[Provider, Callable[[], list[Any]]]]:
    """A provider of that kind on its simulator, and what arrived there since the last look."""
    if kind == "comfyui":
        async with ComfySim() as sim:
            provider = ComfyUIProvider(ComfyUISettings(url=sim.url), SystemClock())
            bodies: list[Any] = []

            async def prompt(body: Mapping[str, Any]) -> dict[str, Any]:
                # Kept before the server judges it: files that it does not have are no matter here.
                bodies.append({"route": "POST /prompt", "body": body["prompt"]})
                raise ProviderRejected("kept")

            provider._client.prompt = prompt  # type: ignore[method-assign]
            yield provider, lambda: [bodies.pop() for _ in range(len(bodies))]
            await provider.close()
        return
    module = importlib.import_module(f"tests.providers.contract.rigs.{kind}")
    async with module.rig() as rig:
        rig.sim.script.picture_side = 64  # what comes back is no matter here, and large ones take long
        provider = rig.make()
        yield provider, lambda: _payloads(rig.sim)
        await provider.close()


def _payloads(sim: Any) -> list[Any]:
    found = [
        {"route": entry.route, "path": entry.path, "body": entry.body}
        for entry in sim.journal.entries
        if entry.method in ("POST", "PUT") and entry.body is not None
    ]
    sim.journal.clear()
    return found


async def sent(case: Case, *orders: Order) -> list[str]:
    """The payload of each order as text that can be compared: ids, addresses and long texts stand for
    themselves."""
    texts = []
    async with bench(case.deployment.provider) as (provider, payloads):
        for order in orders:
            request = request_of(case, order)
            with suppress(ProviderProblem):  # the service may not like it: it was sent all the same
                request_id = await provider.submit(request)
                async with aclosing(provider.watch(request, request_id)) as events:  # type: ignore[type-var]
                    async for _ in events:
                        pass
            found = _plain(payloads(), request)
            assert found, f"{case.name} sent nothing"
            texts.append(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False))
    return texts


def _plain(value: Any, request: AttemptRequest) -> Any:
    match value:
        case dict():
            return {key: _plain(item, request) for key, item in value.items()}
        case list():
            return [_plain(item, request) for item in value]
        case str():
            text = value.replace(request.attempt_id, "<attempt>")
            if len(text) > 300:
                return f"<{len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
            return ID.sub("<id>", LOCAL_ADDRESS.sub("<address>", text))
        case _:
            return value


def snapshot(case: Case) -> Path:
    """Where the payload of the least order is kept."""
    return SNAPSHOTS / f"{case.name}.json"


async def payload(case: Case) -> str:
    """That payload."""
    return (await sent(case, order_of(case)))[0] + "\n"


def record() -> None:
    """Write every snapshot, and remove those of cases that are gone."""
    known = {snapshot(case) for case in CASES}
    for path in set(SNAPSHOTS.glob("*.json")) - known:
        path.unlink()
    for case in CASES:
        snapshot(case).write_text(asyncio.run(payload(case)), encoding="utf-8")
