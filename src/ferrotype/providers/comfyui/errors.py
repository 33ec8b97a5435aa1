"""The one place where aiohttp's exceptions and ComfyUI's status codes become provider problems.

Details never carry the server's address, a header or a traceback: they are shown to whoever ordered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import aiohttp

from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.hosted.text import shown

#: How Python names things in its messages, `<class 'int'>`: that is no HTML.
_NAMED: Final = re.compile(r"<(?:class|function|module|bound method) '?([\w.]+)'?[^<>]*>")


class WebsocketRefused(ProviderUnavailable):
    """The server, or a proxy before it, answers HTTP and lets no websocket through."""


@contextmanager
def translated(what: str, *, starts_work: bool = False) -> Iterator[None]:
    """Turn foreign exceptions of the block into problems; `what` says what was being done.

    `starts_work` marks the one call whose body makes the server work: when it breaks after the
    connection stood, nobody knows whether it was read, and OutcomeUnknown is raised.
    """
    unsure: type[ProviderProblem] = OutcomeUnknown if starts_work else ProviderUnavailable
    try:
        yield
    except aiohttp.ClientConnectorCertificateError:
        raise ProviderUnavailable(
            f"{what}: ComfyUI's certificate is not trusted; COMFYUI_CA_FILE names the authority to trust."
        ) from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise ProviderUnavailable(f"{what}: ComfyUI cannot be reached.") from None
    except TimeoutError:
        raise unsure(f"{what}: ComfyUI did not answer in time.") from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        raise ProviderUnavailable(f"{what}: COMFYUI_URL is no usable address.") from None
    except (aiohttp.ClientError, OSError):
        raise unsure(f"{what}: the connection to ComfyUI broke.") from None


def refused(
    what: str, status: int, retry_after: str | None, *, starts_work: bool = False, name: str = "comfyui"
) -> ProviderProblem:
    """The problem of an answer that is not 200 and says nothing readable about itself. `name` is the
    connection's."""
    if status in (401, 403):
        own = name == "comfyui"
        where = "COMFYUI_TOKEN, or COMFYUI_USER and COMFYUI_PASSWORD" if own else f"[connections.{name}]"
        return ProviderMisconfigured(f"{what}: ComfyUI refused our credentials ({status}); check {where}.")
    if status in (429, 503):
        return ProviderBusy(f"{what}: ComfyUI is busy ({status}).", retry_after=_seconds(retry_after))
    if status == 413:
        return ProviderRejected(f"{what}: that is more than ComfyUI takes in one request (413).")
    if status in (400, 422):
        return ProviderRejected(f"{what}: ComfyUI calls it wrong ({status}).")
    if status < 500:
        return ProviderUnavailable(f"{what}: no ComfyUI answers at COMFYUI_URL ({status}).")
    if starts_work:
        return OutcomeUnknown(f"{what}: ComfyUI or its proxy failed ({status}).")
    return ProviderUnavailable(f"{what}: ComfyUI or its proxy failed ({status}).")


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; its date form is not worth a parser here."""
    return float(text) if text is not None and text.isdigit() else None


def first_line(text: object) -> str:
    """The first line that says something, shortened: later ones hold paths and tracebacks. Empty for HTML."""
    return shown(_NAMED.sub(r"\1", str(text)))


def node_error_lines(node_errors: Mapping[str, Any]) -> list[str]:
    """`node_errors` of POST /prompt, one readable line per fault: `KSampler (node 3): steps: ...`."""
    lines = []
    for node, body in node_errors.items():
        faults = body.get("errors") if isinstance(body, dict) else None
        name = body.get("class_type", "node") if isinstance(body, dict) else "node"
        for fault in faults if isinstance(faults, list) else [{}]:
            parts = (first_line(fault.get(key) or "") for key in ("message", "details"))
            lines.append(f"{name} (node {node}): " + (": ".join(p for p in parts if p) or "invalid"))
    return lines


def rejection(body: Mapping[str, Any]) -> ProviderRejected:
    """The problem of a 400 of POST /prompt: `{error: {type, message, details}, node_errors}`."""
    node_errors = body.get("node_errors")
    lines = node_error_lines(node_errors) if isinstance(node_errors, dict) else []
    error = body.get("error")
    if isinstance(error, dict):
        said = ": ".join(first_line(error[key]) for key in ("message", "details") if error.get(key))
    else:
        said = first_line(error or "")
    detail = "; ".join(lines[:5]) or said or "no reason given"
    more = f" (and {len(lines) - 5} more)" if len(lines) > 5 else ""
    return ProviderRejected(
        f"ComfyUI refused the workflow: {detail}{more}.", errors=[{"detail": line} for line in lines]
    )
