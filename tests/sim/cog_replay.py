"""Replays a recording of a real Cog server against the simulator and compares everything that came back.

The driver walks through the recorded lines. The simulated predictor makes a step only when the recording had
got that far, and ends when the recording shows the end, so both servers are in the same state when a request
arrives and nothing depends on the clock.

What is normalised, and nothing else:
- ids that the server made up (`pred_...`), `predict_time`, times of set-up, `Date` and `Server`;
- pictures: both are PNGs of the same size;
- serde's words about broken JSON, and the place (`at line ...`) in a body;
- the log of a failed set-up; the log of a good one is some text;
- webhooks overtake each other on the real server: there one about an output may come after the last one, and
  two uploads change places. The simulator's keep their order.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import aiohttp
from aiohttp import web

from ferrotype.sim.cog import CogScript, CogSim
from ferrotype.sim.cog.predictor import PATH, Painter, died, picture_of, schema_of
from ferrotype.sim.hosted import Work, Works
from ferrotype.sim.hosted.work import State

RECORDINGS = Path(__file__).parent.parent / "transcripts" / "cog"
SINK, NOBODY = "http://127.0.0.1:5056", "http://127.0.0.1:5999"
PATIENCE = 20  # seconds until something that never comes fails the test
FAR = 1_000_000

Hook = Callable[["Replay", dict[str, Any]], Awaitable[None]]


def load(name: str) -> list[dict[str, Any]]:
    """The lines of one recording, by the number that its file name begins with."""
    (path,) = RECORDINGS.glob(f"{name}_*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Recorded(Painter):
    """The recorder's predictor: `seconds` / 0.1 steps, 16 pixels wide."""

    schema: ClassVar[Mapping[str, Any]] = schema_of(
        ["prompt"],
        {
            "prompt": {"title": "Prompt", "type": "string"},
            "width": {"default": 16, "maximum": 256, "minimum": 1, "type": "integer"},
            "num_outputs": {"default": 1, "maximum": 4, "minimum": 1, "type": "integer"},
            "seconds": {"default": 0, "type": "number"},
            "scheduler": {"default": "A", "enum": ["A", "B"], "type": "string"},
            "image": PATH,
        },
        {"type": "array", "items": PATH},
    )

    def __init__(self) -> None:
        self.kind = "pictures"  # or `words`, `frames`, `one`: the predictors of 05 and 06

    def check(self, given: Any) -> str | None:
        return super().check(given) if self.kind in ("pictures", "one") else None

    def order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if self.kind in ("words", "frames"):
            return {"width": 4, "height": 4, "count": given["n"]}
        side = 8 if self.kind == "one" else 16
        ordered = super().order({"width": side, "height": side} | given)
        return ordered | {"count": given.get("num_outputs", 1)}

    def first_lines(self, given: Mapping[str, Any]) -> str:
        if self.kind != "pictures":
            return ""
        lines = f"prompt: {given['prompt']}\n"
        if "image" in given:
            inline = picture_of(given["image"])
            size = 77 if inline is None else len(inline)  # 77: what the recorder's own server had there
            lines += f"image bytes: {size} path: /srv/scratch.png\n"
        return lines

    def last_words(self, given: Mapping[str, Any]) -> str | None:
        return died("ValueError: asked to fail") if given.get("fail") else None

    def step_line(self, step: int, steps: int) -> str:
        return f"step {step / 10:.1f}\n" if self.kind == "pictures" else ""

    def chunk(self, work: Work, index: int) -> Any:
        return f"{work.request['prompt']}-{index} " if self.kind == "words" else super().chunk(work, index)


class Stepped(Works):
    """Work that goes on as far as it is let: `allowed` by id; the last step is that beyond all others."""

    def __init__(self, script: CogScript) -> None:
        super().__init__(script)
        self.allowed: dict[str, int] = defaultdict(lambda: FAR)
        self._let = asyncio.Event()

    def let(self, work_id: str, step: int) -> None:
        self.allowed[work_id] = max(step, self.allowed[work_id]) if work_id in self.allowed else step
        self._let.set()
        self._let = asyncio.Event()

    async def _run(self, work: Work) -> None:
        seconds, kind = work.request.get("seconds", 0), work.request.get("n")
        work.steps = kind or round(seconds * 10)
        work.state = "running"
        self._changed_by(work)
        for step in range(1, work.steps + 1):
            await self._reach(work, step)
            work.step = step
            self._changed_by(work)
        await self._reach(work, FAR)
        work.pictures = [self._picture(work, index) for index in range(work.count)]
        state: State = "succeeded"
        self._end(work, state)

    async def _reach(self, work: Work, step: int) -> None:
        while self.allowed[work.id] < step:
            await self._let.wait()


class Sink:
    """What the recorder had on port 5056: takes webhooks and uploads and answers as it did."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.got: dict[str, asyncio.Queue[tuple[web.Request, bytes]]] = defaultdict(asyncio.Queue)
        self._answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            if line["kind"] == "sink_recv":
                self._answers[line["path"]].append(line["answered"])
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.got[request.path].put_nowait((request, await request.read()))
        answers = self._answers[request.path]
        answer = answers.pop(0) if answers else {"status": 200, "headers": {}}
        return web.Response(status=answer["status"], headers=answer["headers"])


class Replay:
    """One recording against one simulator."""

    def __init__(
        self,
        sim: CogSim,
        sink: Sink,
        session: aiohttp.ClientSession,
        painter: Recorded,
        hooks: dict[int, Hook],
    ) -> None:
        self.sim = sim
        self.sink = sink
        self.session = session
        self.painter = painter
        self.hooks = hooks
        self.works = Stepped(sim.script)
        self.works.on_change = sim.works.on_change
        sim.works = self.works
        sim.script.webhook_interval, sim.script.webhook_backoff = float(FAR), 0.0
        self.begun: dict[str, asyncio.Task[tuple[aiohttp.ClientResponse, bytes]]] = {}
        self.pending: list[dict[str, Any]] = []
        self.compared = 0

    async def run(self, lines: list[dict[str, Any]]) -> None:
        lines = in_order(lines)
        for index, line in enumerate(lines):
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._line(line, lines[index + 1 :])
            except BaseException as error:
                error.add_note(f"recorded line {line['seq']}: {json.dumps(line)[:600]}")
                raise
        async with asyncio.timeout(PATIENCE):
            await self._settle()
            predictions = list(self.sim._by_work.values())
            await self.finish_all()
            for prediction in predictions:
                await prediction.webhook.sent()
        left = {path: queue.qsize() for path, queue in self.sink.got.items() if queue.qsize()}
        assert not left, f"the simulator sent more than was recorded: {left}"

    async def _line(self, line: dict[str, Any], rest: list[dict[str, Any]]) -> None:
        if line["kind"] == "sink_recv":
            self.pending.append(line)
        elif line["seq"] in self.hooks:
            await self._settle()
            await self.hooks[line["seq"]](self, line)
        elif line["kind"] == "http":
            await self._settle(other_than=id_of(line))
            await self._http(line, rest)
            await self._settle()
        else:
            extra = set(line) - {"seq", "t", "kind", "note", "title", "server"}
            assert line["kind"] in ("meta", "note"), line["kind"]
            assert not extra, f"the note carries facts and needs a hook: {extra}"

    # Requests

    async def _http(self, line: dict[str, Any], rest: list[dict[str, Any]]) -> None:
        request, expected = line["request"], line["response"]
        path, status = request["path"], expected["status"]
        if self._needs_idle(request, expected):
            await self.finish_all()
        if status == 409 and self.sim.script.health == "READY" and not self.sim.is_full:
            self.sim.script.late_slots = 1  # the slot of the prediction before was not left yet
        prediction_id = id_of(line)
        if status == 202 and prediction_id not in self.sim.predictions:
            self.works.let(prediction_id, 0)  # it goes on when something tells that it did
        if status == 202 and "input" in expected.get("json", {}):
            await self._advance(prediction_id, steps_in(expected["json"]["logs"]))
        if path.endswith("/cancel") and status == 200:
            await self._advance(prediction_id, stopped_at(prediction_id, rest))
        reply, body = await (self.begun.pop(prediction_id, None) or self.begin(request))
        self._compare(line, reply, body)
        self.compared += 1

    def begin(self, request: dict[str, Any]) -> asyncio.Task[tuple[aiohttp.ClientResponse, bytes]]:
        """Sends a request."""
        data = None
        if "json" in request:
            data = self.translate(json.dumps(request["json"]))
        elif "body" in request:
            data = request["body"]

        async def send() -> tuple[aiohttp.ClientResponse, bytes]:
            async with self.session.request(
                request["method"],
                self.sim.url + request["path"],
                data=data,
                headers=request.get("headers", {}),
                skip_auto_headers=["Content-Type", "Accept"],
            ) as reply:
                return reply, await reply.read()

        return asyncio.create_task(send())

    def _needs_idle(self, request: dict[str, Any], expected: dict[str, Any]) -> bool:
        """Whether the real server had nothing under way at that time."""
        if request["path"] == "/health-check":
            return expected.get("json", {}).get("status") != "BUSY"
        starts = request["method"] in ("POST", "PUT") and not request["path"].endswith("/cancel")
        return starts and expected["status"] in (200, 202) and "input" not in expected.get("json", {})

    async def finish_all(self) -> None:
        """Everything under way comes to its end, except for requests that wait for their answer."""
        for prediction in list(self.sim.predictions.values()):
            if prediction.id not in self.begun:
                self.works.let(prediction.work.id, FAR)
                await prediction.done.wait()
                await asyncio.sleep(0)

    async def _advance(self, prediction_id: str, step: int) -> None:
        """The prediction comes as far as that step."""
        prediction = self.sim.predictions[prediction_id]
        self.works.let(prediction.work.id, step)
        while prediction.work.step < min(step, prediction.work.steps):
            await prediction.work.change()

    # What the server sends by itself

    async def _settle(self, other_than: str | None = None) -> None:
        """Takes what was recorded so far, up to what the coming request causes."""
        later = []
        for line in self.pending:
            if (
                other_than is not None
                and id_of(line) == other_than
                and other_than not in self.sim.predictions
            ):
                later.append(line)
                continue
            await self._sunk(line)
        self.pending = later

    async def _sunk(self, line: dict[str, Any]) -> None:
        state = line.get("json") or {}
        prediction = self.sim.predictions.get(str(state.get("id")))
        if prediction is not None and not prediction.ended:
            if state["status"] != "processing":
                self.works.let(prediction.work.id, FAR)
            elif "output" in state and self.painter.kind in ("words", "frames"):
                await self._advance(prediction.id, len(state["output"]))
            elif "output" in state:
                self.works.let(prediction.work.id, FAR)
            elif steps := steps_in(state["logs"]):
                await self._advance(prediction.id, steps - 1)
                self.sim.script.webhook_interval = 0.0
                await self._advance(prediction.id, steps)
                self.sim.script.webhook_interval = float(FAR)
        elif line["method"] == "PUT":
            upload = self.sim.predictions.get(line["headers"]["x-prediction-id"])
            if upload is not None:
                self.works.let(upload.work.id, FAR)
        request, body = await self.sink.got[line["path"]].get()
        assert request.method == line["method"]
        self._sent_headers(line["headers"], request.headers)
        if "json" in line:
            self.same(json.loads(self.translate(json.dumps(line["json"]))), json.loads(body), "webhook")
        else:
            assert size_of(bytes.fromhex(line["first32_hex"])) == size_of(body)
        self.compared += 1

    def _sent_headers(self, expected: dict[str, str], actual: Mapping[str, str]) -> None:
        for name in ("Content-Type", "Accept", "User-Agent", "x-prediction-id"):
            if name in expected:
                assert actual[name] == expected[name], name

    # Comparison

    def translate(self, text: str) -> str:
        """A recorded text with the addresses of this run."""
        return text.replace(SINK, self.sink.url).replace(NOBODY, "http://127.0.0.1:9")

    def _compare(self, line: dict[str, Any], reply: aiohttp.ClientResponse, body: bytes) -> None:
        expected = line["response"]
        assert (reply.status, reply.reason) == (expected["status"], expected["reason"]), body[:500]
        names = {name.lower() for name in expected["headers"]} - {"connection", "date"}
        assert names == {name.lower() for name in reply.headers} - {"connection", "date", "server"}
        for name in ("Content-Type", "Allow"):
            assert reply.headers.get(name) == expected["headers"].get(name), name
        if line["request"]["method"] == "HEAD" or ("json" not in expected and "text" not in expected):
            assert body == b""
        elif "text" in expected:
            assert without_place(body.decode()) == without_place(expected["text"])
        else:
            self.same(json.loads(self.translate(json.dumps(expected["json"]))), json.loads(body), "body")

    def same(self, expected: Any, actual: Any, where: str) -> None:
        """Equal, types included, apart from what the module's text lists."""
        if isinstance(expected, dict):
            assert isinstance(actual, dict), where
            assert set(expected) == set(actual), where
            for key, value in expected.items():
                self.same(value, actual[key], f"{where}.{key}")
        elif isinstance(expected, list):
            assert isinstance(actual, list), where
            assert len(expected) == len(actual), where
            for index, value in enumerate(expected):
                self.same(value, actual[index], f"{where}[{index}]")
        elif where.endswith("predict_time"):
            assert isinstance(actual, float), where
            assert actual >= 0, where
        elif isinstance(expected, str) and expected.startswith("data:"):
            assert actual.partition(",")[0] == expected.partition(",")[0], where
            assert size_of(inline_bytes(expected)) == size_of(inline_bytes(actual)), where
        elif where.endswith((".started_at", ".completed_at")):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", actual), where
        elif where.endswith("setup.logs"):
            assert isinstance(actual, str), where
            assert actual, where
        elif where == "body.id" and expected.startswith("pred_"):
            assert re.fullmatch("pred_[0-9a-f]{16}", actual), where
        else:
            assert type(expected) is type(actual), f"{where}: {expected!r} and {actual!r}"
            assert expected == actual, where


def in_order(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last webhook of each prediction behind those that it overtook, and uploads by their numbers."""
    lines = list(lines)
    for index in range(len(lines) - 1):
        first, second = lines[index], lines[index + 1]
        if first["kind"] != "sink_recv" or second["kind"] != "sink_recv":
            continue
        overtook = first.get("json", {}).get("status") == "succeeded" and first["path"] == second["path"]
        if overtook:
            lines[index], lines[index + 1] = second, first
        if first["method"] == second["method"] == "PUT" and first["path"] > second["path"]:
            lines[index], lines[index + 1] = second, first
            for line in lines:
                if (
                    line["kind"] == "sink_recv"
                    and "output" in line.get("json", {})
                    and id_of(line) == id_of(first)
                ):
                    text = json.dumps(line["json"]).replace("out-1", "out-x")
                    text = text.replace("out-0", "out-1").replace("out-x", "out-0")
                    line["json"] = json.loads(text)
    return lines


def id_of(line: dict[str, Any]) -> str:
    """The prediction that a line is about."""
    if line["kind"] == "sink_recv":
        return str(line.get("json", {}).get("id") or line["headers"].get("x-prediction-id", ""))
    if found := re.fullmatch("/predictions/([^/]+)(/cancel)?", line["request"]["path"]):
        return found[1]
    given = line["request"].get("json")
    return str(given.get("id", "")) if isinstance(given, dict) else ""


def steps_in(logs: str) -> int:
    """How far the recorder's predictor had got."""
    found = re.findall(r"step (\d+\.\d)", logs)
    return round(float(found[-1]) * 10) if found else 0


def stopped_at(prediction_id: str, rest: list[dict[str, Any]]) -> int:
    """The step in which a cancel met a prediction, as its last webhook tells."""
    states = [line["json"] for line in rest if line["kind"] == "sink_recv" and "json" in line]
    last = [
        state["logs"] for state in states if (state["id"], state["status"]) == (prediction_id, "canceled")
    ]
    return steps_in(last[0]) if last else 0


def without_place(text: str) -> str:
    return re.sub(r"(as JSON: | at line ).*", "", text)


def inline_bytes(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
