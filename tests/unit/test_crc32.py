"""The CRC-32 of a file that is read in parts (faces.md R-21)."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from rs_order.domain.archives import FIRST_BYTE, Checkpoint
from rs_order.downloads.checksums import Crc32

CONTENTS = st.binary(max_size=400)


def passed(crc: Crc32, content: bytes, piece: int) -> list[Checkpoint]:
    """Update a CRC with a content piece by piece, and return its checkpoints."""
    for start in range(0, len(content), piece):
        crc.update(content[start : start + piece])
    return [*crc.take_checkpoints()]


@given(content=CONTENTS, every=st.integers(1, 90), piece=st.integers(1, 200))
def test_whoever_goes_on_at_a_checkpoint_has_the_crc_of_the_whole(
    content: bytes, every: int, piece: int
) -> None:
    """There is one at each multiple of the distance, and those behind it are left again."""
    whole = Crc32(every)
    checkpoints = passed(whole, content, piece)

    assert [one.position for one in checkpoints] == [*range(every, len(content) + 1, every)]
    for number, checkpoint in enumerate([FIRST_BYTE, *checkpoints]):
        resumed = Crc32(every, checkpoint)
        behind = passed(resumed, content[checkpoint.position :], piece)
        assert checkpoint.crc32 == zlib.crc32(content[: checkpoint.position])
        assert resumed.hexdigest() == whole.hexdigest() == f"{zlib.crc32(content):08x}"
        assert behind == checkpoints[number:]


@given(content=CONTENTS)
def test_checkpoints_are_taken_once(content: bytes) -> None:
    crc = Crc32(10)

    assert len(passed(crc, content, 7)) == len(content) // 10
    assert not crc.take_checkpoints()
