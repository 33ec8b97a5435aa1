"""Workflow templates: ComfyUI's API format, in which strings may hold `{{name}}` or `{{name=default}}`.

A string that is nothing but one placeholder takes the value's own type; inside other text the value is
written out. Only the parsed JSON is touched, in a single pass, so that a value can neither break out of
its string nor be read as a placeholder or a link.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from ferrotype.domain.problems import ProviderRejected

Graph = dict[str, Any]
Scalar = str | int | float | bool

#: Placeholders that the order itself fills; every other name is looked up in `params`, then `options`.
ORDER_NAMES: Final = (
    "prompt",
    "negative",
    "seed",
    "width",
    "height",
    "batch_size",
    "filename_prefix",
    "scaled_width",
    "scaled_height",
    "image",
    "mask",
)

_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_IMAGE: Final = re.compile(r"image(?:_([1-9][0-9]?))?")


class TemplateFault(ProviderRejected):
    """A template that cannot be used, or cannot be filled; the text names what to mend."""


@dataclass(frozen=True, slots=True)
class Template:
    """A workflow to be filled. `source` says where it came from, for people."""

    name: str
    source: str
    graph: Graph
    #: Each placeholder's name and its default; None where it has none.
    placeholders: Mapping[str, Scalar | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, source: str, text: str) -> Template:
        """Raises TemplateFault when it is no API-format workflow or a placeholder is malformed."""
        try:
            graph = json.loads(text)
        except ValueError as error:
            raise TemplateFault(f"Workflow {name!r}: no JSON ({error}).") from None
        except RecursionError:
            raise TemplateFault(f"Workflow {name!r}: nested too deeply.") from None
        check_graph(name, graph)
        found: dict[str, Scalar | None] = {}
        for string in _strings(graph):
            if "{{" in _PLACEHOLDER.sub("", string):
                raise TemplateFault(f"Workflow {name!r}: a placeholder in {string[:80]!r} is not closed.")
            for body in _PLACEHOLDER.findall(string):
                key, default = _read(name, body)
                if found.get(key) is None:
                    found[key] = default
        return cls(name, source, graph, found)

    @property
    def image_count(self) -> int:
        """How many input pictures it takes: `{{image}}` is `{{image_1}}`."""
        counts = (int(match[1] or 1) for key in self.placeholders if (match := _IMAGE.fullmatch(key)))
        return max(counts, default=0)

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        """Placeholders without a default that `values` does not fill, in the order of the template."""
        needed = (key for key, default in self.placeholders.items() if default is None)
        return [key for key in needed if values.get(key) is None]

    def fill(self, values: Mapping[str, Any]) -> Graph:
        """The workflow to submit; a value of None counts as not given.

        Raises TemplateFault naming every placeholder that stays empty, or a value that is no scalar.
        """
        missing = self.missing(values)
        if missing:
            names = ", ".join(f"{{{{{key}}}}}" for key in missing)
            raise TemplateFault(
                f"Workflow {self.name!r} needs {names}, and neither the order nor the deployment's options "
                "say what to put there.",
                field=missing[0] if missing[0] in ORDER_NAMES else f"params.{missing[0]}",
            )
        for key in self.placeholders:
            # A list would be read as a link to another node.
            if not isinstance(values.get(key), str | int | float | bool | None):
                raise TemplateFault(
                    f"Workflow {self.name!r}: {key} is no plain value.", field=f"params.{key}"
                )

        def written(match: re.Match[str]) -> str:
            return str(self._value(match[1], values))

        def filled(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: filled(value) for key, value in node.items()}
            if isinstance(node, list):
                return [filled(value) for value in node]
            if isinstance(node, str):
                whole = _PLACEHOLDER.fullmatch(node)
                if whole is not None:
                    return self._value(whole[1], values)
                return _PLACEHOLDER.sub(written, node)
            return node

        graph: Graph = filled(self.graph)
        return graph

    def _value(self, body: str, values: Mapping[str, Any]) -> Any:
        key, default = _read(self.name, body)
        given = values.get(key)
        if given is not None:
            return given
        return default if default is not None else self.placeholders[key]


def check_graph(name: str, graph: object) -> None:
    """Raises TemplateFault unless `graph` is a workflow in API format whose links lead somewhere."""
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise TemplateFault(
            f"Workflow {name!r} is the editor's format; export it with ComfyUI's `Export (API)`."
        )
    if not isinstance(graph, dict) or not graph:
        raise TemplateFault(f"Workflow {name!r}: not an object of nodes.")
    for key, node in graph.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise TemplateFault(f"Workflow {name!r}: node {key} has no class_type.")
        if not isinstance(node.get("inputs"), dict):
            raise TemplateFault(f"Workflow {name!r}: node {key} has no inputs.")
        for label, value in node["inputs"].items():
            if is_link(value) and value[0] not in graph:
                raise TemplateFault(
                    f"Workflow {name!r}: {label} of node {key} links to {value[0]}, which does not exist."
                )


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Whether an input is `[node id, output slot]`."""
    match value:
        case [str(), int()]:
            return True
        case _:
            return False


def with_prefix(graph: Graph, prefix: str) -> Graph:
    """The graph with every saved file named after `prefix`, so that no other prompt's file is like it.

    A node whose template already wrote the prefix somewhere into its own text keeps that text.
    """
    result = dict(graph)
    for key, node in graph.items():
        given = node["inputs"].get("filename_prefix")
        named = isinstance(given, str) and prefix in given
        if not named and (isinstance(given, str) or node["class_type"] == "SaveImage"):
            result[key] = {**node, "inputs": {**node["inputs"], "filename_prefix": prefix}}
    return result


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def _read(name: str, body: str) -> tuple[str, Scalar | None]:
    key, equals, text = body.partition("=")
    key = key.strip()
    if _NAME.fullmatch(key) is None:
        raise TemplateFault(f"Workflow {name!r}: {{{{{body}}}}} is no placeholder.")
    if not equals:
        return key, None
    text = text.strip()
    try:
        value = json.loads(text)
    except ValueError:
        return key, text
    return key, value if isinstance(value, str | int | float | bool) else text
