"""all-MiniLM-L6-v2 on onnxruntime, in a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Final

import numpy as np

from ferrotype.domain.problems import InternalError, Overloaded
from ferrotype.embedding.base import Vector
from ferrotype.embedding.weights import FILE, INSTALL, SHA256, find
from ferrotype.embedding.wordpiece import token_ids

#: Calls that wait at most: one takes milliseconds, so that more of them would be seconds.
MAX_WAITING: Final = 64
SIZE: Final = 384
#: The largest value of a signed byte.
LARGEST: Final = 127


class MiniLM:
    """An `Embedder`. The network is loaded by the first call, and takes about 160 MB from then on.

    Texts are computed one by one: in a batch the sums run over the padding of shorter ones too, and the same
    text would not always have the same bytes. On one thread a batch would not be faster either.
    """

    name = "all-MiniLM-L6-v2-int8"
    size = SIZE

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._session: Any = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._lock = Lock()
        self._waiting = 0
        self._closed = False

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return await asyncio.wrap_future(self._submit(list(texts)))

    async def close(self) -> None:
        with self._lock:
            self._closed = True
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        self._session = None

    def _submit(self, texts: list[str]) -> Future[list[Vector]]:
        with self._lock:
            if self._closed:
                raise Overloaded("The server is stopping.", retry_after=5)
            if self._waiting >= MAX_WAITING:
                raise Overloaded(
                    f"{self._waiting} prompts wait for their vectors.", limit=MAX_WAITING, retry_after=1
                )
            self._waiting += 1
            future = self._executor.submit(self._run, texts)
        future.add_done_callback(self._release)
        return future

    def _release(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1

    def _run(self, texts: list[str]) -> list[Vector]:
        if self._session is None:
            self._session = self._load()
        try:
            return [self._vector(text) for text in texts]
        except Exception as error:
            raise InternalError(f"The network for similar prompts failed: {error}") from None

    def _load(self) -> Any:
        try:
            import onnxruntime

            path = find()
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                    raise ValueError(f"{FILE} is not the file that it should be")
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            # Prompts are short: an arena would keep what the longest of them once needed.
            options.enable_cpu_mem_arena = False
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InternalError(
                f"The network for similar prompts cannot be loaded: {error}. Mend it with {INSTALL}."
            ) from None

    def _vector(self, text: str) -> Vector:
        ids = np.array([token_ids(text)], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(None, feed)
        mean = states[0].mean(axis=0)  # the model's pooling: the mean of all tokens, with the marks
        return bytes(np.rint(mean * (LARGEST / np.abs(mean).max())).astype(np.int8).tobytes())
