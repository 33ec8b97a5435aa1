"""A request in the simulated queue, and what fal says about it at each moment."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pyvips

from ferrotype.sim.fal.apps import App, owner_and_app, size_of, units_of, wrongs
from ferrotype.sim.hosted import Fault, Work

State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
#: Fields that hold pictures, the one first that the result resembles.
PICTURES: Final = ("image_url", "mask_url")
FORMS: Final = {"jpeg": "JPEG", "png": "PNG"}
CONTENT_TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
ERRORS_URL: Final = "https://docs.fal.ai/errors#"
CANCELED: Final = "The request was cancelled by the client"


@dataclass
class Answer:
    """What the GET of a result answers; `error_type` stands in a header too, and the billed `units`."""

    status: int
    body: Any
    error_type: str | None = None
    units: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        found = {"X-Fal-Error-Type": self.error_type, "X-Fal-Billable-Units": self.units}
        return {name: str(value) for name, value in found.items() if value is not None}

    @property
    def error(self) -> str | None:
        """What states say about it after the end."""
        if self.status < 400:
            return None
        detail = self.body["detail"]
        return detail if isinstance(detail, str) else f"Invalid status code: {self.status}"


@dataclass
class Call:
    """One accepted order. `work` does it, unless its input was wrong: then `rejection` is all there is."""

    id: str
    endpoint: str
    arguments: dict[str, Any]
    app: App | None = None
    webhook: str | None = None
    work: Work | None = None
    begun: bool = False
    rejection: Answer | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The part of its addresses that names the app."""
        return owner_and_app(self.endpoint)

    @property
    def state(self) -> State:
        if self.rejection is not None or self.work is None or self.work.ended:
            return "COMPLETED"
        return "IN_PROGRESS" if self.work.state == "running" else "IN_QUEUE"

    def log(self) -> None:
        """Notes a step of the work as models print it."""
        if self.work is None or self.work.state != "running" or not self.work.step:
            return
        done, steps = self.work.step, self.work.steps
        line = f"{100 * done // steps:3d}%|{'#' * (10 * done // steps):10}| {done}/{steps} [00:00<00:00]"
        if not self.logs or self.logs[-1]["message"] != line:
            stamp = datetime.now(UTC).isoformat()
            self.logs.append({"message": line, "level": "STDERR", "source": "USER", "timestamp": stamp})

    def reject(self, status: int, detail: Any, error_type: str | None = None) -> None:
        """Ends it with that error."""
        body = {"detail": detail} | ({"error_type": error_type} if error_type else {})
        self.rejection = Answer(status, body, error_type)

    def look_at_input(self, read: Callable[[str], bytes | None]) -> None:
        """What the app does first: it finds the input wrong, or makes work of it. `read` gives the bytes at
        an address, None where there are none."""
        if self.app is None:
            self.reject(404, f"Path {self.endpoint.removeprefix(self.path)} not found")
            return
        found = wrongs(self.app, self.arguments)
        if found:
            self.reject(422, found)
            return
        arguments = self.arguments
        sources: dict[str, bytes] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for name in (name for name in PICTURES if name in self.app.fields and arguments.get(name)):
            data = read(arguments[name])
            size = _size(data) if data is not None else None
            if data is None or size is None:
                words = {"msg": "Failed to download the file", "type": "file_download_error"}
                if data is not None:
                    words = {"msg": "Failed to load the image", "type": "image_load_error"}
                self.reject(422, [{"loc": ["body", name], **words, "input": arguments[name]}])
                return
            sources[name], sizes[name] = data, size
        width, height = size_of(self.app, arguments, sizes.get("image_url"))
        self.work = Work(
            self.id,
            {"path": self.endpoint, **arguments},
            prompt=str(arguments.get("prompt", "")),
            seed=int(arguments.get("seed") or 0),
            width=width,
            height=height,
            count=int(arguments.get("num_images") or 1),
            form=FORMS[arguments.get("output_format") or "jpeg"],
            source=sources.get("image_url"),
        )

    def webhook_body(self, answer: Answer, payloads: bool) -> dict[str, Any]:
        """What fal tells of it after its end; without `payloads` its result cannot be sent along."""
        ids = {"request_id": self.id, "gateway_request_id": self.id}
        if answer.error is not None:
            return {**ids, "status": "ERROR", "error": answer.error, "payload": answer.body}
        if not payloads:
            words = "Response payload is not JSON serializable"
            return {**ids, "status": "OK", "payload": None, "payload_error": words}
        return {**ids, "status": "OK", "error": None, "payload": answer.body}

    def answer(self, urls: list[str], nsfw: set[int]) -> Answer:
        """Its result, with the pictures at these addresses."""
        if self.rejection is not None:
            return self.rejection
        work = self.work
        assert work is not None
        if work.state == "canceled" and (work.fault is None or work.fault.kind == "canceled"):
            words = work.fault.message if work.fault else CANCELED
            return Answer(499, {"detail": words, "error_type": "client_cancelled"}, "client_cancelled")
        if work.state == "failed":
            return _failure(work.fault or Fault())
        assert self.app is not None
        units = units_of(self.app, work.width, work.height, len(work.pictures))
        return Answer(200, self._result(work, urls, nsfw), units=units)

    def _result(self, work: Work, urls: list[str], nsfw: set[int]) -> dict[str, Any]:
        content_type = CONTENT_TYPES[work.form]
        pictures = []
        for index, data in enumerate(work.pictures):
            url = urls[index]
            if self.arguments.get("sync_mode"):
                url = data_uri(data, content_type)
            pictures.append(
                {"url": url, "content_type": content_type, "width": work.width, "height": work.height}
            )
        if self.app is not None and self.app.makes == "image":
            return {"image": pictures[0] if pictures else None}
        return {
            "images": pictures,
            "timings": {"inference": work.seconds},
            "seed": work.seed,
            "has_nsfw_concepts": [index in nsfw for index in range(len(pictures))],
            "prompt": work.prompt,
        }


def data_uri(data: bytes, content_type: str) -> str:
    """The bytes as an address of their own."""
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def _size(data: bytes) -> tuple[int, int] | None:
    try:
        picture = pyvips.Image.new_from_buffer(data, "")
    except pyvips.Error:
        return None
    return picture.width, picture.height


def _failure(fault: Fault) -> Answer:
    kind, status = "internal_server_error", 500
    if fault.kind == "refusal":
        kind, status = "content_policy_violation", 422
    detail = {"loc": ["body", "prompt"] if status == 422 else ["body"], "msg": fault.message, "type": kind}
    return Answer(status, {"detail": [detail | {"url": f"{ERRORS_URL}{kind}", "input": None}]})
