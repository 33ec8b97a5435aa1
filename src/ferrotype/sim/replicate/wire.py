"""What the simulated Replicate says: predictions, files, problems, logs, and durations in headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from ferrotype.sim.hosted import Work
from ferrotype.sim.replicate.inputs import Wrong
from ferrotype.sim.replicate.script import ReplicateScript

NSFW: Final = "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
STATUSES: Final = {"queued": "starting", "running": "processing"}
DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
MEDIA_TYPES: Final = {"JPEG": "image/jpeg", "WEBP": "image/webp", "PNG": "image/png"}


@dataclass(slots=True)
class File:
    """An uploaded file."""

    id: str
    name: str
    content_type: str
    data: bytes
    metadata: dict[str, Any]
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_json(self, base: str) -> dict[str, Any]:
        """As the API shows it; it expires a day after its upload."""
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": len(self.data),
            "etag": hashlib.md5(self.data, usedforsecurity=False).hexdigest(),
            "checksums": {"sha256": hashlib.sha256(self.data).hexdigest()},
            "metadata": self.metadata,
            "created_at": stamp(self.created_at),
            "expires_at": stamp(self.created_at + timedelta(days=1)),
            "urls": {"get": f"{base}/v1/files/{self.id}"},
        }


def stamp(moment: datetime) -> str:
    """`2023-09-08T16:19:34.765994Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def problem(status: int, detail: str, title: str | None = None, **more: Any) -> web.Response:
    """An RFC 9457 problem, as the service writes them."""
    body = {"detail": detail, "status": status, **({"title": title} if title else {}), **more}
    return web.json_response(body, status=status, content_type="application/problem+json")


def invalid(wrongs: Sequence[Wrong]) -> web.Response:
    """422 with every field that is wrong."""
    fields = [{"type": w.type, "field": w.field, "description": w.description} for w in wrongs]
    detail = "".join(wrong.line() for wrong in wrongs)
    return problem(422, detail, "Input validation failed", invalid_fields=fields)


def not_found() -> web.Response:
    """404."""
    return problem(404, "The requested resource could not be found.")


def seconds_of(duration: str) -> int | None:
    """A `Cancel-After`: `90`, `90s`, `5m`, `1h30m45s`; None for anything else."""
    match = DURATION.fullmatch(duration.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def logs(work: Work, withheld: Sequence[int]) -> str:
    """What the model printed so far: its seed, its bar step by step, the verdicts of its filter. Replicate
    makes a line of its own of what a bar overwrites."""
    if work.started_at is None:
        return ""
    bars = [
        f"{100 * step // work.steps:3d}%|{'█' * (10 * step // work.steps):<10}| {step}/{work.steps} "
        f"[00:{step:02d}<00:{work.steps - step:02d}, 1.00it/s]"
        for step in range(work.step + 1)
    ]
    lines = [f"Using seed: {work.seed}", *bars]
    if work.state == "succeeded":
        lines += [f"NSFW content detected in image {index}" for index in sorted(withheld)]
    return "\n".join(lines) + "\n"


def prediction(work: Work, addresses: Sequence[str], script: ReplicateScript, base: str) -> dict[str, Any]:
    """The prediction object. `addresses` are those of all pictures, `base` is the API's."""
    request, gone = work.request, script.removed
    own = f"{base}/v1/predictions/{work.id}"
    shown: dict[str, Any] = {
        "id": work.id,
        "model": request["model"].name,
        "version": "hidden" if request["model"].official else request["version"],
        "input": {} if gone else request["input"],
        "logs": "" if gone else logs(work, script.withheld),
        "output": None if gone else output(work, addresses, script.withheld),
        "data_removed": gone,
        "error": error(work) if work.state == "failed" else None,
        "status": status(work),
        "created_at": stamp(work.created_at),
        "source": "api",
        "urls": {
            "cancel": f"{own}/cancel",
            "get": own,
            "stream": f"{base}/v1/streams/{work.id}",
            "web": f"https://replicate.com/p/{work.id}",
        },
    }
    if work.started_at is not None:
        shown["started_at"] = stamp(work.started_at)
    if work.ended_at is not None:
        total = (work.ended_at - work.created_at).total_seconds()
        shown["completed_at"] = stamp(work.ended_at)
        shown["metrics"] = {"predict_time": work.seconds, "total_time": total} if script.metrics else {}
    if request["deployment"] is not None:
        shown["deployment"] = request["deployment"]
    if request["deadline"] is not None:
        shown["deadline"] = stamp(request["deadline"])
    return shown


def status(work: Work) -> str:
    """One of the six."""
    if work.state == "canceled" and work.request["late"] and work.started_at is None:
        return "aborted"
    return STATUSES.get(work.state, work.state)


def error(work: Work) -> str:
    """Why it failed."""
    assert work.fault is not None
    return f"{NSFW} ({work.id[:10]})" if work.fault.kind == "refusal" else work.fault.message


def output(work: Work, addresses: Sequence[str], withheld: Sequence[int]) -> Any:
    """What the model gives back, in its own form."""
    if work.state != "succeeded":
        return None
    model = work.request["model"]
    if model.output == "data":
        encoded = base64.b64encode(work.pictures[0]).decode() if work.pictures else None
        return encoded and f"data:{MEDIA_TYPES[work.form]};base64,{encoded}"
    kept = [address for index, address in enumerate(addresses) if index not in withheld]
    return kept if model.output == "list" else next(iter(kept), None)
