"""Pieces of a file are handed over many at a time, and none waits for long."""

import asyncio

import pytest

from rs_order.downloads.gathering import AHEAD, ENOUGH, GatheredPieces

QUARTER = bytes(ENOUGH // 4)


async def test_pieces_that_arrive_quickly_are_taken_together() -> None:
    gathered = GatheredPieces()
    taking = asyncio.create_task(gathered.take())
    for _ in range(4):
        assert not taking.done()
        await gathered.put(QUARTER)

    assert await taking == [QUARTER] * 4


async def test_a_piece_of_a_slow_source_is_taken_soon() -> None:
    gathered = GatheredPieces()
    await gathered.put(b"a")
    assert await gathered.take() == [b"a"]

    await gathered.put(b"b")
    assert await gathered.take() == [b"b"]


async def test_the_source_waits_for_the_reader() -> None:
    gathered = GatheredPieces()
    putting = asyncio.create_task(gathered.put(bytes(AHEAD)))
    await asyncio.sleep(0)
    assert not putting.done()

    await gathered.take()
    await putting


async def test_what_a_cancelled_reader_did_not_get_is_taken_by_the_next() -> None:
    gathered = GatheredPieces()
    taking = asyncio.create_task(gathered.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])

    gathered.end(b"last")
    assert await gathered.take() == [b"last"]
    assert gathered.at_end
    assert await gathered.take() == []


async def test_an_error_comes_behind_the_pieces_before_it() -> None:
    gathered = GatheredPieces()
    await gathered.put(b"a")
    gathered.end(error=ConnectionError("cut"))

    assert await gathered.take() == [b"a"]
    assert not gathered.at_end
    with pytest.raises(ConnectionError, match="cut"):
        await gathered.take()
    assert await gathered.take() == []
