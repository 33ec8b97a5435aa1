"""What the shape of an entry cannot say: whether a model can do what it is offered for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ferrotype.domain.model import AspectRatio, Model, Operation, Parameter
from ferrotype.domain.params import fault_of

Path = tuple[str | int, ...]


def model_faults(
    model: Model,
    operations: Mapping[str, Operation],
    aspect_ratios: Mapping[str, AspectRatio],
    connections: Collection[str] | None = None,
) -> Iterator[tuple[Path, str]]:
    """(path within the entry, what is wrong) of everything. `connections` are the names that deployments may
    use, None where they are not known."""
    can = model.capabilities
    for name in model.operations:
        operation = operations.get(name)
        if operation is None:
            yield ("operations",), f"there is no operation {name!r}"
        else:
            yield from _operation_faults(model, operation)
    for name, value in model.defaults.items():
        declared = can.params.get(name)
        if declared is None:
            yield ("defaults", name), f"it is no parameter of capabilities.params: {sorted(can.params)}"
        elif reason := fault_of(value, declared):
            yield ("defaults", name), reason
    for name in can.aspect_ratios or []:
        if name not in aspect_ratios:
            yield ("capabilities", "aspect_ratios"), f"there is no aspect ratio {name!r}"
    wishes = {f"format.{name}" for name in can.formats} | {f"params.{name}" for name in can.params}
    for index, deployment in enumerate(model.deployments):
        if connections is not None and deployment.provider not in connections:
            path: Path = ("deployments", index, "provider")
            yield path, f"there is no provider {deployment.provider!r}, only {', '.join(sorted(connections))}"

        for wish in sorted(set(deployment.cannot) - wishes):
            yield ("deployments", index, "cannot"), f"the model does not declare {wish} at all"
    for wish in sorted(wishes.intersection(*(each.cannot for each in model.deployments))):
        yield ("deployments",), f"none of them honours {wish}, which the model declares"


def _operation_faults(model: Model, operation: Operation) -> Iterator[tuple[Path, str]]:
    can, name = model.capabilities, operation.name
    if can.max_images < operation.min_images:
        yield ("capabilities", "max_images"), f"{name} needs input pictures: {operation.min_images}"
    if can.min_images > operation.max_images:
        yield ("capabilities", "min_images"), f"{name} brings at most {operation.max_images} input pictures"
    if operation.mask == "required" and not can.mask:
        yield ("capabilities", "mask"), f"{name} comes with a mask"
    if operation.mask == "none" and can.needs_mask:
        yield ("capabilities", "needs_mask"), f"{name} comes without a mask"
    if operation.prompt == "required" and can.prompt == "none":
        yield ("capabilities", "prompt"), f"{name} comes with a prompt"
    for parameter, wanted in operation.params.items():
        declared = can.params.get(parameter)
        if declared is None:
            yield ("capabilities", "params"), f"{name} needs the parameter {parameter!r}"
        else:
            yield from _parameter_faults(parameter, declared, wanted, name)


def _parameter_faults(
    parameter: str, declared: Parameter, wanted: Parameter, operation: str
) -> Iterator[tuple[Path, str]]:
    path: Path = ("capabilities", "params", parameter)
    if declared.type != wanted.type:
        yield path, f"{operation} calls for the type {wanted.type}, not {declared.type}"
    elif declared.choices is not None:
        foreign: list[Any] = [c for c in declared.choices if fault_of(c, wanted) is not None]
        if foreign:
            yield path, f"{operation} does not know {foreign}"
