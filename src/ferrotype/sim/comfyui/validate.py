"""What POST /prompt refuses, and in which words: the texts are those of the recorded server."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from .folders import Folders
from .nodes import REGISTRY
from .nodes.base import Input, Node
from .script import Script

_LONG_LIST = 20  # longer lists of choices are not spelled out


@dataclass(frozen=True, slots=True)
class Verdict:
    """`error` is None where at least one output can run; `outputs` are those that will."""

    error: dict[str, Any] | None
    outputs: list[str]
    node_errors: dict[str, Any] = field(default_factory=dict)


def problem(
    kind: str, message: str, details: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An error object as the server writes them everywhere."""
    return {"type": kind, "message": message, "details": details, "extra_info": dict(extra or {})}


class Validator:
    """Checks one prompt. Converted values ("64" -> 64) are written back into it, as on the real server."""

    def __init__(
        self, prompt: MutableMapping[str, Any], script: Script, folders: Folders, targets: list[str] | None
    ) -> None:
        self._prompt = prompt
        self._script = script
        self._folders = folders
        self._targets = targets
        self._results: dict[
            str, list[dict[str, Any]] | None
        ] = {}  # errors, or None: refused for its inputs' sake
        self._open: set[str] = set()

    def verdict(self) -> Verdict:
        """The judgement. Raises (KeyError, TypeError, ...) where the real server would crash with a 500."""
        outputs = []
        for node_id in self._prompt:
            node = self._prompt[node_id]
            if "class_type" not in node:
                text = "Cannot execute because a node is missing the class_type property."
                return Verdict(problem("invalid_prompt", text, f"Node ID '#{node_id}'"), [])
            name = node["class_type"]
            if name not in REGISTRY:
                text = f"Cannot execute because node {name} does not exist."
                return Verdict(problem("invalid_prompt", text, f"Node ID '#{node_id}'"), [])
            if REGISTRY[name].output_node and (self._targets is None or node_id in self._targets):
                outputs.append(node_id)
        if not outputs:
            return Verdict(problem("prompt_no_outputs", "Prompt has no outputs"), [])
        return self._check_outputs(outputs)

    def _check_outputs(self, outputs: list[str]) -> Verdict:
        good: list[str] = []
        own_errors: list[dict[str, Any]] = []
        node_errors: dict[str, Any] = {}
        for output in self._ordered(outputs):
            if self._guarded(output):
                good.append(output)
                continue
            own_errors += self._results[output] or []
            for node_id, errors in self._results.items():
                if not errors:
                    continue
                entry = node_errors.setdefault(
                    node_id,
                    {
                        "errors": errors,
                        "dependent_outputs": [],
                        "class_type": self._prompt[node_id]["class_type"],
                    },
                )
                entry["dependent_outputs"].append(output)
        if good:
            return Verdict(None, good, node_errors)
        details = "\n".join(f"{error['message']}: {error['details']}" for error in own_errors)
        return Verdict(
            problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", details),
            [],
            node_errors,
        )

    def _ordered(self, outputs: list[str]) -> list[str]:
        first = [node_id for node_id in self._script.output_order if node_id in outputs]
        return first + [node_id for node_id in outputs if node_id not in first]

    def _guarded(self, output: str) -> bool:
        try:
            return self._node(output)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            kind = type(error).__name__
            extra = {"exception_type": kind, "traceback": ['  File "execution.py", in validate_inputs\n']}
            text = "Exception when validating node"
            self._results[output] = [problem("exception_during_validation", text, str(error), extra)]
            return False

    def _node(self, node_id: str) -> bool:
        """Whether a node and all before it are sound. The real server gives no reason for a cycle either."""
        if node_id in self._results:
            return self._results[node_id] == []
        if node_id in self._open:
            return False
        self._open.add(node_id)
        inputs = self._prompt[node_id]["inputs"]
        node = REGISTRY[self._prompt[node_id]["class_type"]]
        errors: list[dict[str, Any]] = []
        inputs_sound = True
        for name, port in node.inputs.items():
            if name not in inputs:
                if port.required:
                    extra = {"input_name": name}
                    errors.append(problem("required_input_missing", "Required input is missing", name, extra))
            elif isinstance(inputs[name], list):
                refused = self._link(name, port, inputs[name])
                errors += refused
                inputs_sound = (bool(refused) or self._node(inputs[name][0])) and inputs_sound
            else:
                errors += self._value(name, port, node, inputs)
        if node.check is not None and (reason := node.check(self._script, self._folders, inputs)):
            text = "Custom validation failed for node"
            errors.append(
                problem(
                    "custom_validation_failed",
                    text,
                    f"{node.checked} - {reason}",
                    {"input_name": node.checked},
                )
            )
        self._results[node_id] = errors if errors or inputs_sound else None
        return not errors and inputs_sound

    def _config(self, port: Input) -> list[Any]:
        return [port.type_now(self._script, self._folders), dict(port.options)]

    def _link(self, name: str, port: Input, value: list[Any]) -> list[dict[str, Any]]:
        extra = {"input_name": name, "input_config": self._config(port)}
        if len(value) != 2:
            text = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return [problem("bad_linked_input", text, name, {**extra, "received_value": value})]
        received = REGISTRY[self._prompt[value[0]]["class_type"]].outputs[value[1]]
        wanted = port.type_now(self._script, self._folders)
        if wanted not in ("*", received):
            details = f"{name}, received_type({received}) mismatch input_type({wanted})"
            text = "Return type mismatch between linked nodes"
            extra |= {"received_type": received, "linked_node": value}
            return [problem("return_type_mismatch", text, details, extra)]
        return []

    def _value(
        self, name: str, port: Input, node: Node, inputs: MutableMapping[str, Any]
    ) -> list[dict[str, Any]]:
        value, config = inputs[name], self._config(port)
        extra = {"input_name": name, "input_config": config, "received_value": value}
        convert = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}.get(str(config[0]))
        if convert is not None:
            try:
                value = inputs[name] = convert(value)
            except (ValueError, TypeError, OverflowError) as error:
                text = f"Failed to convert an input value to a {config[0]} value"
                extra["exception_message"] = str(error)
                return [problem("invalid_input_type", text, f"{name}, {value}, {error}", extra)]
        if name == node.checked:
            return []
        extra["received_value"] = value
        low, high = port.options.get("min"), port.options.get("max")
        if low is not None and value < low:
            return [
                problem("value_smaller_than_min", f"Value {value} smaller than min of {low}", name, extra)
            ]
        if high is not None and value > high:
            return [problem("value_bigger_than_max", f"Value {value} bigger than max of {high}", name, extra)]
        if isinstance(config[0], list) and value not in config[0]:
            choices = str(config[0])
            if len(config[0]) > _LONG_LIST:
                choices, extra["input_config"] = f"(list of length {len(config[0])})", None
            return [
                problem(
                    "value_not_in_list", "Value not in list", f"{name}: '{value}' not in {choices}", extra
                )
            ]
        return []
