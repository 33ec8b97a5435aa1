"""Numbers that JSON does not have never reach the database, nor an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.harness import running


@pytest.mark.parametrize("field", ["params", "metadata"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_number_that_is_not_finite_is_refused(tmp_path: Path, field: str, number: str) -> None:
    async with running(tmp_path / "data") as client:
        before = await client.rows()
        body = (
            f'{{"prompt": "a fox", "width": 256, "height": 256, "{field}": {{"deep": [{{"x": {number}}}]}}}}'
        )
        reply = await client.request(
            "POST", "/v1/generations", data=body, headers={"Content-Type": "application/json"}
        )
        assert (reply.status, reply.json["field"]) == (422, field), reply.body
        assert await client.rows() == before
