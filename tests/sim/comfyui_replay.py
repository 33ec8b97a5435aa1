"""Replays a recording of a real ComfyUI against the simulator and compares everything that came back.

The driver walks through the recorded lines in order. Before each request it waits for every websocket
message that was recorded earlier, and lets the simulated nodes advance only as far as the recording had got
at that point; so both servers are in the same state when the request arrives, and nothing depends on the
clock.

What is normalised, and nothing else:
- prompt ids that the server chose, ETags, Last-Modified and the random part of temp files: mapped one to
  one, so equal stays equal and different stays different; requests that name them are translated;
- timestamps (positive integers), `Date` and `Server` (present), tensors printed as text (`tensor(...`),
  tracebacks (non-empty lists of `File` lines);
- the base folder in messages; `commonpath:` is not compared (the recorder renamed the folders it came from);
- lists that the real server makes from a Python set: `executed`, `current_outputs`, the errors of one node;
- image data: a PNG's header (size, depth, colour type), the magic of the others; lengths where bytes are
  generated;
- `status` messages race with the HTTP replies and the worker on the real server. Their sequence of values
  per socket is compared exactly, their place among the other messages only at the end of a prompt (terminal
  message, status, null).
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from ferrotype.sim.comfyui import ComfySim

RECORDINGS = Path(__file__).parent.parent / "transcripts" / "comfyui"
RECORDED_PORT = "8188"
PATIENCE = 20  # seconds until a message that never comes fails the test

_TEMP_NAME = re.compile(r"ComfyUI_temp_[a-z]{5}_")
_ETAG = re.compile(r'"[0-9a-f]+-[0-9a-f]+"')
_COMMON_PATH = re.compile("commonpath: .*")
_TRACE_LINE = re.compile(r'  File ".+", (line \d+, )?in \w+\n')
_TERMINAL = ("execution_success", "execution_error", "execution_interrupted")
_STEPPING = ("ProbeSteps", "ProbeBlockingSleep")
_EXACT_HEADERS = (
    "Content-Type",
    "Allow",
    "Content-Disposition",
    "Accept-Ranges",
    "Connection",
    "Transfer-Encoding",
)

Hook = Callable[["Replay", dict[str, Any]], Awaitable[None]]


def load(name: str) -> list[dict[str, Any]]:
    """The lines of one recording, by the number that its file name begins with."""
    (path,) = RECORDINGS.glob(f"{name}_*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Socket:
    """A client websocket that keeps what it received."""

    def __init__(self, name: str, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.name = name
        self.ws = ws
        self.messages: list[Any] = []  # dicts, or bytes
        self.others: list[Any] = []  # the same without plain status messages
        self.statuses: list[Any] = []
        self.expected_statuses: list[Any] = []
        self.taken = 0
        self.ended = asyncio.Event()
        self.pong = asyncio.Event()
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            message = await self.ws.receive()
            if message.type is aiohttp.WSMsgType.PONG:
                self.pong.set()
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._keep(json.loads(message.data))
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._keep(message.data)
            else:
                self.ended.set()
                return

    def _keep(self, message: Any) -> None:
        self.messages.append(message)
        plain = isinstance(message, dict) and message["type"] == "status" and "sid" not in message["data"]
        if plain:
            self.statuses.append(message["data"]["status"]["exec_info"]["queue_remaining"])
        else:
            self.others.append(message)
        self._news.set()

    async def next(self) -> Any:
        """The next message that is not a plain status."""
        while len(self.others) <= self.taken:
            self._news.clear()
            await self._news.wait()
        self.taken += 1
        return self.others[self.taken - 1]

    async def counted(self, statuses: int) -> None:
        """Returns when so many plain status messages have come."""
        while len(self.statuses) < statuses:
            self._news.clear()
            await self._news.wait()

    async def drained(self) -> None:
        """Returns when everything that the server sent before now was read."""
        self.pong.clear()
        await self.ws.ping()
        await self.pong.wait()

    async def close(self) -> None:
        await self.ws.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


class Replay:
    """One recording against one simulator."""

    def __init__(
        self,
        sim: ComfySim,
        session: aiohttp.ClientSession,
        root: Path,
        *,
        hooks: dict[int, Hook],
        left_out: dict[int, str],
    ) -> None:
        self.sim = sim
        self.session = session
        self.root = root  # stands for the / of the recorded machine
        self.hooks = hooks
        self.left_out = left_out
        self.sockets: dict[str, Socket] = {}
        self.to_actual: dict[str, str] = {}
        self.pending: list[dict[str, Any]] = []
        self.left_out_prompts: set[str] = set()
        self.classes: dict[str, dict[str, str]] = {}  # recorded prompt id -> node id -> class
        self.outputs: dict[str, list[str]] = {}
        self.compared = 0

    # The walk

    async def run(self, lines: list[dict[str, Any]]) -> None:
        self._learn_output_order(lines)
        for line in lines:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._line(line)
            except BaseException as error:
                error.add_note(f"recorded line {line['seq']}: {json.dumps(line)[:600]}")
                raise
        assert not self.sockets, "every recorded socket ends with a ws_closed line"

    async def _line(self, line: dict[str, Any]) -> None:
        seq, kind = line["seq"], line["kind"]
        if kind == "ws_recv":
            if self._recorded_prompt(line) in self.left_out_prompts:
                return
            self.pending.append(line)
            return
        await self.settle(self._prompt_of_reply(line))
        if seq in self.hooks:
            await self.hooks[seq](self, line)
        elif seq in self.left_out:
            assert kind == "http", "only requests are left out"
            self._leave_out(line)
        elif kind == "note":
            extra = set(line) - {"seq", "t", "kind", "note"}
            assert not extra, f"note {seq} carries facts and needs a hook: {extra}"
        elif kind == "http":
            await self._http(line)
        elif kind == "ws_open":
            await self._open(line)
        elif kind == "ws_send":
            await self.sockets[line["sock"]].ws.send_str(line["text"])
        elif kind == "ws_closed":
            await self._close(line)
        elif kind == "ws_raw_handshake":
            await self._handshake(line)
        else:
            assert kind in ("meta", "sample"), kind

    def _leave_out(self, line: dict[str, Any]) -> None:
        prompt_id = self._prompt_of_reply(line)
        if prompt_id is not None:
            self.left_out_prompts.add(prompt_id)
            self.sim.next_number += 1

    # Websockets

    async def _open(self, line: dict[str, Any]) -> None:
        ws = await self.session.ws_connect(self.sim.url + line["url"], autoping=False)
        self.sockets[line["sock"]] = Socket(line["sock"], ws)

    async def _close(self, line: dict[str, Any]) -> None:
        socket = self.sockets.pop(line["sock"])
        if line["close_code"] is not None:
            await socket.ended.wait()
            assert socket.ws.close_code == line["close_code"]
        else:
            await socket.counted(len(socket.expected_statuses))
            await self.sim.hub.flushed()
            await socket.drained()
        assert len(socket.others) == socket.taken, f"unrecorded messages: {socket.others[socket.taken :]}"
        assert socket.statuses == socket.expected_statuses, f"status values on socket {socket.name}"
        _check_ends(socket)
        await socket.close()

    async def settle(self, prompt_being_posted: str | None = None) -> None:
        """Waits for the messages recorded so far, up to those that the coming request causes."""
        while self.pending:
            line = self.pending[0]
            recorded = self._recorded_prompt(line)
            if prompt_being_posted is not None and recorded == prompt_being_posted:
                return
            self.pending.pop(0)
            socket = self.sockets[line["sock"]]
            message = line.get("json")
            if message is not None and message["type"] == "status" and "sid" not in message["data"]:
                socket.expected_statuses.append(message["data"]["status"]["exec_info"]["queue_remaining"])
                continue
            self._let_run(message)
            try:
                actual = await socket.next()
                self._message(line, actual)
            except BaseException as error:
                error.add_note(f"expected on socket {line['sock']}: recorded line {json.dumps(line)[:600]}")
                error.add_note(
                    f"received there so far: {json.dumps(socket.messages[-4:], default=repr)[:1200]}"
                )
                raise
            self.compared += 1

    def _let_run(self, message: dict[str, Any] | None) -> None:
        """Gates: lets the prompt go as far as this message says it had got."""
        if message is None or message["type"] != "progress_state":
            return
        recorded = message["data"]["prompt_id"]
        for node_id, entry in message["data"]["nodes"].items():
            if self.classes.get(recorded, {}).get(node_id) in _STEPPING and entry["value"] >= 1:
                self.sim.release(self.to_actual.get(recorded, recorded), int(entry["value"]))

    def _message(self, line: dict[str, Any], actual: Any) -> None:
        if "json" in line:
            assert isinstance(actual, dict), f"a text message was expected, not {actual[:32]!r}"
            self.same(line["json"], actual, "message")
            return
        assert isinstance(actual, bytes), f"a binary message was expected, not {actual}"
        event, second = struct.unpack(">II", actual[:8])
        assert event == line["event_type"]
        if event == 1:
            assert second == line["image_type"]
            picture = actual[8:]
        elif event == 4:
            assert second == line["metadata_len"]
            self.same(line["metadata"], json.loads(actual[8 : 8 + second]), "metadata")
            picture = actual[8 + second :]
        else:
            assert event == 3
            assert second == line["node_id_len"]
            assert actual[8 : 8 + second].decode() == line["node_id"]
            assert actual[8 + second :].decode() == line["text"]
            assert len(actual) == line["len"]
            return
        assert picture[:3].hex() == line["payload_magic_hex"][:6]

    async def _handshake(self, line: dict[str, Any]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.sim.port)
        try:
            writer.write(line["request_text"].encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
            assert _head(head) == _head(line["response_head"])
            if not line["after_head_hex"]:
                return
            expected = _frame(bytes.fromhex(line["after_head_hex"]))
            first = await reader.readexactly(2)
            length = first[1]
            if length == 126:
                extended = await reader.readexactly(2)
                first, length = first + extended, int.from_bytes(extended)
            actual = _frame(first + await reader.readexactly(length))
            recorded_sid, sid = expected["data"]["sid"], actual["data"].get("sid", "")
            if recorded_sid not in line["request_text"]:  # then the server made it up
                assert re.fullmatch("[0-9a-f]{32}", sid)
                expected["data"]["sid"] = sid
            self.same(expected, actual, "first frame")
        finally:
            writer.close()
            await writer.wait_closed()

    # HTTP

    async def _http(self, line: dict[str, Any]) -> None:
        request, expected = line["request"], line["response"]
        await self._ready(request, expected)
        headers = dict(request.get("headers", {}))
        headers = {name: self.translate(value) for name, value in headers.items()}
        data: Any = None
        if "json" in request:
            data = self.translate(json.dumps(request["json"]))
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(request.get("body"), dict):
            data, content_type = multipart(request["body"]["multipart"])
            headers["Content-Type"] = content_type
        elif "body" in request:
            data = self.translate(request["body"])
        recorded = self._prompt_of_reply(line)
        if recorded is not None:
            prompt = request["json"]["prompt"]
            self.classes[recorded] = {node_id: node["class_type"] for node_id, node in prompt.items()}
            self.sim.script.output_order = self.outputs.get(recorded, [])
        url = URL(self.sim.url + self.translate(request["path"]), encoded=True)
        async with self.session.request(
            request["method"], url, data=data, headers=headers, skip_auto_headers=["Content-Type"]
        ) as reply:
            body = await reply.read()
        if recorded is not None and reply.status == 200:
            self.to_actual[recorded] = json.loads(body)["prompt_id"]
        await self.compare_reply(line, reply, body)
        self.compared += 1

    async def _ready(self, request: dict[str, Any], expected: dict[str, Any]) -> None:
        """Waits until the simulator has done what the recorded server had done before this request."""
        path, body = request["path"].split("?")[0].removeprefix("/api"), expected.get("json")
        if path.startswith("/history/") and body:
            for prompt_id in body:
                await self.sim.journal.wait_mark("finished", self.to_actual.get(prompt_id, prompt_id))
        elif path in ("/history", "/view") or (request["method"] == "GET" and _says_idle(body)):
            await self.sim.idle()

    async def compare_reply(self, line: dict[str, Any], reply: aiohttp.ClientResponse, body: bytes) -> None:
        expected, method = line["response"], line["request"]["method"]
        assert (reply.status, reply.reason) == (expected["status"], expected["reason"]), body[:500]
        self._headers(expected["headers"], reply.headers)
        length = reply.headers.get("Content-Length")
        if method != "HEAD" and length is not None and reply.status != 304:
            assert int(length) == len(body)
        if method == "HEAD":
            assert body == b""
            if "Etag" not in expected["headers"] and expected["status"] == 200 and expected["body_len"] == 0:
                url = URL(self.sim.url + self.translate(line["request"]["path"]), encoded=True)
                async with self.session.get(url) as full:
                    assert int(length or -1) == len(await full.read()), "HEAD tells the length that GET has"
        elif "json" in expected:
            self.same(expected["json"], json.loads(body), "body")
        elif "text" in expected:
            assert body.decode() == expected["text"]
        elif "first32_hex" in expected:
            _same_picture(bytes.fromhex(expected["first32_hex"]), body, expected["body_len"])
        else:
            assert expected["body_len"] == 0
            assert body == b""

    def _headers(self, expected: dict[str, str], actual: Any) -> None:
        assert {name.lower() for name in expected} == {name.lower() for name in actual}
        for name in _EXACT_HEADERS:
            if name in expected:
                assert actual[name] == self.translate(expected[name]), name
        if "Etag" in expected:
            assert _ETAG.fullmatch(actual["Etag"])
            self._pair(expected["Etag"], actual["Etag"])
        if "Last-Modified" in expected:
            assert actual["Last-Modified"].endswith(" GMT")
            self.to_actual.setdefault(expected["Last-Modified"], actual["Last-Modified"])
        if "Content-Range" in expected:
            self._content_range(expected["Content-Range"], actual["Content-Range"])

    def _content_range(self, expected: str, actual: str) -> None:
        """The ranges, counted from the end where they reach it, since generated files differ in size."""
        wanted, size = expected.removeprefix("bytes ").split("/")
        got, actual_size = actual.removeprefix("bytes ").split("/")
        if wanted == "*":
            assert got == "*"
            return
        first, last = map(int, wanted.split("-"))
        shift = int(actual_size) - int(size) if last == int(size) - 1 else 0
        assert got == f"{first + shift}-{last + shift}"

    # Comparison

    def translate(self, text: str) -> str:
        """A recorded text with the names of this run in it."""
        for recorded, actual in self.to_actual.items():
            if recorded and recorded != actual:
                text = text.replace(recorded, actual)
        return text.replace(f"127.0.0.1:{RECORDED_PORT}", f"127.0.0.1:{self.sim.port}")

    def same(self, expected: Any, actual: Any, where: str) -> None:
        """Equal, types included, apart from what the module's text lists."""
        if isinstance(expected, dict):
            assert isinstance(actual, dict), where
            names = {self._name(key): key for key in expected}
            assert set(names) == set(actual), where
            for name, key in names.items():
                if key == "traceback":
                    for lines in (expected[key], actual[name]):
                        assert lines, where
                        assert all(_TRACE_LINE.fullmatch(trace) for trace in lines), where
                elif key == "timestamp":
                    assert isinstance(actual[name], int), where
                    assert actual[name] > 0, where
                else:
                    self.same(_sorted(key, expected[key]), _sorted(key, actual[name]), f"{where}.{key}")
        elif isinstance(expected, list):
            assert isinstance(actual, list), where
            assert len(expected) == len(actual), f"{where}: {expected} and {actual}"
            for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
                self.same(left, right, f"{where}[{index}]")
        elif isinstance(expected, str):
            assert isinstance(actual, str), where
            self._same_text(expected, actual, where)
        else:
            assert type(expected) is type(actual), f"{where}: {expected!r} and {actual!r}"
            assert expected == actual, where

    def _name(self, key: str) -> str:
        return self.to_actual.get(key, key)

    def _same_text(self, expected: str, actual: str, where: str) -> None:
        if expected.startswith("tensor("):
            assert actual.startswith("tensor("), where
            return
        if (left := _TEMP_NAME.search(expected)) and (right := _TEMP_NAME.search(actual)):
            self._pair(left[0], right[0])
        actual = _COMMON_PATH.sub("", actual.replace(str(self.root), ""))
        expected = _COMMON_PATH.sub("", expected)
        assert self.translate(expected) == actual, f"{where}: {expected!r} and {actual!r}"

    def _pair(self, recorded: str, actual: str) -> None:
        """One to one: the same there is the same here, different there is different here."""
        assert self.to_actual.setdefault(recorded, actual) == actual, f"{recorded} was another one before"
        twins = [key for key, value in self.to_actual.items() if value == actual]
        assert twins == [recorded], f"{actual} stands for several: {twins}"

    # What the lines say

    def _learn_output_order(self, lines: list[dict[str, Any]]) -> None:
        """The real server takes output nodes in the order of a set; queue and history tell which it was."""

        def visit(value: Any) -> None:
            if isinstance(value, dict):
                for item in value.values():
                    visit(item)
            elif isinstance(value, list):
                if len(value) == 5 and isinstance(value[1], str) and isinstance(value[4], list):
                    self.outputs[value[1]] = value[4]
                else:
                    for item in value:
                        visit(item)

        for line in lines:
            if line["kind"] == "http":
                visit(line["response"].get("json"))

    def _prompt_of_reply(self, line: dict[str, Any]) -> str | None:
        """The prompt id that a recorded POST /prompt was given, if it was accepted."""
        if (
            line["kind"] != "http"
            or line["request"]["path"] != "/prompt"
            or line["request"]["method"] != "POST"
        ):
            return None
        body = line["response"].get("json") or {}
        return body.get("prompt_id")

    def _recorded_prompt(self, line: dict[str, Any]) -> str | None:
        data = line["json"]["data"] if "json" in line else line.get("metadata", {})
        found = data.get("prompt_id")
        return found if isinstance(found, str) else None


def _check_ends(socket: Socket) -> None:
    """After the message that ends a prompt come its status and then `executing` null, nothing between."""
    kinds = [message["type"] if isinstance(message, dict) else "binary" for message in socket.messages]
    for index, kind in enumerate(kinds):
        if kind in _TERMINAL:
            assert kinds[index + 1 : index + 3] == ["status", "executing"], kinds[index - 2 : index + 4]
            assert socket.messages[index + 2]["data"]["node"] is None


def _says_idle(body: Any) -> bool:
    return body in ({"queue_running": [], "queue_pending": []}, {"exec_info": {"queue_remaining": 0}})


def _sorted(key: str, value: Any) -> Any:
    if key in ("executed", "current_outputs"):
        return sorted(value)
    if key == "errors":
        return sorted(value, key=lambda error: (error["type"], error["details"]))
    return value


def _same_picture(recorded_start: bytes, actual: bytes, recorded_length: int) -> None:
    start = recorded_start
    if start.startswith(b"\x89PNG"):
        size = min(
            len(start), 29
        )  # up to the end of the header chunk's data: width, height, depth, colour type
        assert actual[:size] == start[:size]
    elif start.startswith(b"RIFF"):
        assert (actual[:4], actual[8:12]) == (b"RIFF", b"WEBP")
    elif start.startswith(b"\xff\xd8"):
        assert actual[:3] == start[:3]
    else:
        assert actual == start, "a piece of a file"
    if recorded_length < 32:
        assert len(actual) == recorded_length


def _head(text: str) -> tuple[str, dict[str, str]]:
    status, *lines = text.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return status, {name: "" if name in ("Date", "Server") else value for name, value in headers.items()}


def _frame(frame: bytes) -> Any:
    """The JSON in a single server frame, deflated or not."""
    assert frame[0] in (0x81, 0xC1), "one unfragmented text frame"
    payload = frame[4:] if frame[1] == 126 else frame[2:]
    if frame[0] == 0xC1:
        payload = zlib.decompressobj(-zlib.MAX_WBITS).decompress(payload + b"\0\0\xff\xff")
    return json.loads(payload)


def multipart(fields: dict[str, Any]) -> tuple[bytes, str]:
    """The body that the recorder sent: file contents were not recorded, only their sizes."""
    boundary = "ferrotype-replay"
    parts = []
    for name, value in fields.items():
        if isinstance(value, dict):
            head = (
                f'Content-Disposition: form-data; name="{name}"; filename="{value["filename"]}"\r\n'
                f"Content-Type: {value['content_type']}\r\n\r\n"
            ).encode()
            parts.append(head + upload(value["filename"], value["bytes"]))
        else:
            # "image": null stands for a form without a file.
            field, text = ("nothing", "") if value is None else (name, value)
            parts.append(f'Content-Disposition: form-data; name="{field}"\r\n\r\n{text}'.encode())
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--" + boundary.encode() + b"--\r\n", f"multipart/form-data; boundary={boundary}"


# The pictures that the recorder uploaded, by their length in bytes: width, height and channels.
_UPLOADS = {75: (8, 8, 3), 78: (20, 10, 3), 82: (21, 11, 3), 89: (31, 17, 3), 94: (31, 17, 4)}


def upload(name: str, size: int) -> bytes:
    """A file of exactly that many bytes: a PNG where the recorder sent one."""
    if size not in _UPLOADS:
        return b"not an image at all"[:size].ljust(size, b"\0")
    width, height, channels = _UPLOADS[size]
    rows = zlib.compress((b"\0" + bytes(width * channels)) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    assert len(data) <= size, f"{name} needs {len(data)} bytes"
    return data.ljust(size, b"\0")  # readers stop at IEND


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
