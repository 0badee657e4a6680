"""Columns to bytes and back, bit for bit."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.history.codec import Effort, checksum, content_id, pack, pack_each, unpack
from bridge.history.faults import Damaged

columns = st.sampled_from(["<f8", "<i8", "<u4", "<u2"]).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), st.integers(0, 300))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(columns, max_size=6), st.sampled_from(Effort))
def test_every_column_comes_back_bit_for_bit(before: list[np.ndarray], effort: Effort) -> None:
    after = unpack(pack(before, effort))

    assert [column.dtype for column in after] == [column.dtype for column in before]
    assert [column.tobytes() for column in after] == [column.tobytes() for column in before]


def test_special_numbers_survive_compression() -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308] * 50)
    values[3:8] = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f" * 5)  # a NaN that says something

    assert unpack(pack([values], Effort.FULL))[0].tobytes() == values.tobytes()


def test_a_slice_with_strides_is_taken_as_what_it_shows() -> None:
    values = np.arange(20.0)[::2]

    assert unpack(pack([values], Effort.FULL))[0].tolist() == values.tolist()


def test_compression_is_worth_it() -> None:
    values = np.round(20 + np.cumsum(np.random.default_rng(1).normal(0, 0.02, 3600)), 2)

    assert len(pack([values], Effort.FULL)) < 3600


@pytest.mark.parametrize("effort", list(Effort))
def test_bytes_that_were_cut_or_are_not_ours_are_damage(effort: Effort) -> None:
    data = pack([np.arange(100.0), np.arange(100)], effort)

    for length in range(len(data)):
        with pytest.raises(Damaged):
            unpack(data[:length])
    with pytest.raises(Damaged):
        unpack(b"\x09" + data[1:])


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_do_anything_else_than_raise_damaged(data: bytes) -> None:
    with contextlib.suppress(Damaged):
        unpack(data)


def test_checksum_and_content_id_tell_one_bit() -> None:
    data = bytes(range(256))
    other = bytes([1]) + data[1:]

    assert checksum(data) != checksum(other)
    assert content_id(data) != content_id(other)
    assert content_id(data) == content_id(bytes(data))
    assert 0 <= content_id(data) < 2**63


@settings(max_examples=40, deadline=None)
@given(columns, st.data())
def test_stretches_packed_at_once_are_what_each_by_itself_is(column: np.ndarray, data: st.DataObject) -> None:
    starts = sorted(data.draw(st.sets(st.integers(0, max(0, len(column) - 1)), min_size=1)))

    packed = pack_each(column, starts)

    ends = [*starts[1:], len(column)]
    assert packed == [pack([column[start:end]], Effort.NONE) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("effort", list(Effort))
def test_some_of_the_columns_can_be_read_alone(effort: Effort) -> None:
    data = pack([np.arange(10.0) + number for number in range(5)], effort)

    assert [int(column[0]) for column in unpack(data, slice(1, 4))] == [1, 2, 3]


def test_a_single_plain_column_whose_length_is_not_that_of_its_numbers_is_damage() -> None:
    data = pack([np.arange(3.0)], Effort.NONE)

    for wrong in (data[:-1], data[:4] + (23).to_bytes(4, "little") + data[8:-1], data[:5]):
        with pytest.raises(Damaged):
            unpack(wrong)
    assert [column.tolist() for column in unpack(data)] == [[0.0, 1.0, 2.0]]
