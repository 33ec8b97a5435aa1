from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain import problems
from ferrotype.domain.clock import ManualClock, rfc3339
from ferrotype.domain.generation import shares
from ferrotype.domain.ids import is_id, new_id
from ferrotype.domain.transform import etag


def test_ids_are_uuid7_and_sort_by_time() -> None:
    made = [new_id(unix_ms) for unix_ms in (0, 1, 1_700_000_000_000, 1_700_000_000_001)]
    assert made == sorted(made)
    for text in made:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
        assert is_id(text)


def test_ids_of_one_millisecond_share_no_random_bits() -> None:
    made = [uuid.UUID(new_id(0)).int for _ in range(500)]
    assert len(set(made)) == 500
    always_one, ever_one = made[0], 0
    for value in made:
        always_one &= value
        ever_one |= value
    varying = ever_one & ~always_one
    assert varying.bit_count() == 74


@given(st.text())
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not is_id(text + "/..")
    assert not is_id(new_id().upper().replace("0", "A"))
    assert not is_id(new_id() + "\n")


@given(st.integers(1, 100), st.integers(1, 12))
def test_fan_out_covers_each_index_once(num_images: int, max_per_call: int) -> None:
    covered = [first + k for first, count in shares(num_images, max_per_call) for k in range(count)]
    assert covered == list(range(num_images))
    assert len(shares(num_images, max_per_call)) == -(-num_images // max_per_call)


def test_times_are_utc() -> None:
    moment = datetime(2026, 1, 1, 1, 0, 0, 5_600, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(moment) == "2026-01-01T00:00:00.005Z"
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(1.5)
    assert (clock.now().microsecond, clock.monotonic()) == (500_000, 1.5)


def test_the_entity_tag_is_strong_and_of_the_asset() -> None:
    one, other = new_id(), new_id()
    assert etag(one) == etag(one) != etag(other)
    assert etag(one).startswith('"')


@pytest.mark.parametrize("cls", problems.all_problems(), ids=lambda cls: cls.__name__)
def test_a_problem_survives_the_journal(cls: type[problems.Problem]) -> None:
    problem = cls("what happened", field="a.b", limit=[1, 2], retry_after=3.0)
    body = json.loads(json.dumps(problem.to_json()))
    assert 400 <= body["status"] < 600
    again = problems.from_json(body)
    assert type(again) is cls
    assert again.to_json() == body


def test_codes_are_unique_and_in_the_tree_of_the_docstring() -> None:
    classes = problems.all_problems()
    codes = [cls.code for cls in classes]
    assert len(codes) == len(set(codes))
    for cls in classes:
        line = next(line for line in (problems.__doc__ or "").splitlines() if f" {cls.__name__} " in line)
        assert f"{cls.status} {cls.code}" in line
