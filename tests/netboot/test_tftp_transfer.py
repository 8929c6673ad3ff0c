"""TFTP without sockets: parsing, and one transfer over a line that loses packets."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.transfer import MAX_TRIES, Transfer, agree


@given(st.binary(max_size=600))
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    with contextlib.suppress(wire.BadPacketError):
        wire.parse(data)


def test_a_request_with_options() -> None:
    got = wire.parse(b"\0\1ipxe.efi\0octet\0tsize\x000\0BLKSIZE\x001468\0")
    assert got == wire.Read("ipxe.efi", {"tsize": "0", "blksize": "1468"})


@given(
    st.integers(0, 5000),
    st.sampled_from([8, 512, 1468]),
    st.integers(1, 16),
    st.lists(st.booleans(), max_size=40),
)
def test_the_file_arrives_over_a_bad_line(
    size: int, blksize: int, window: int, lost: list[bool]
) -> None:
    content = bytes(i % 251 for i in range(size))
    terms = agree({"blksize": str(blksize), "windowsize": str(window), "tsize": "0"}, size)
    assert terms.accepted["tsize"] == str(size)
    transfer = Transfer(terms, size, lambda at, length: content[at : at + length])
    losses, got, block = iter(lost), b"", 0
    sent = transfer.start()
    while not transfer.done and not transfer.failed:
        arrived = [packet for packet in sent if not next(losses, False)]
        for packet in arrived:
            number = int.from_bytes(packet[2:4])
            if packet[1] == wire.DATA and number == block + 1:
                got, block = got + packet[4:], number
        sent = transfer.received(wire.Ack(block)) if arrived else []
        sent = sent or transfer.timed_out()
    assert transfer.failed or got == content
    if not any(lost):
        assert transfer.done


def test_blocks_wrap_on_the_wire() -> None:
    size = 8 * 70000
    transfer = Transfer(agree({"blksize": "8"}, size), size, lambda _at, length: bytes(length))
    transfer.start()
    transfer.received(wire.Ack(0))
    for number in range(1, 70002):
        transfer.received(wire.Ack(number & 0xFFFF))
    assert transfer.done
    assert transfer.bytes_acked == size


def test_silence_ends_it() -> None:
    transfer = Transfer(agree({}, 10), 10, lambda _at, length: bytes(length))
    transfer.start()
    for _ in range(MAX_TRIES):
        transfer.timed_out()
    assert transfer.failed


def test_a_request_that_is_filled_up_with_zeros_is_read() -> None:
    assert wire.parse(b"\0\1a\0octet\0tsize\x000\0\0\0\0") == wire.Read("a", {"tsize": "0"})


@given(st.dictionaries(st.sampled_from(["blksize", "windowsize", "timeout", "tsize"]), st.text()))
def test_whatever_options_say_the_terms_are_within_bounds(options: dict[str, str]) -> None:
    terms = agree(options, 7)

    assert 8 <= terms.blksize <= 1468
    assert 1 <= terms.windowsize <= 16
    assert 1 <= terms.timeout <= 10
    assert set(terms.accepted) <= set(options)


def test_an_end_before_the_first_block_is_a_refusal_of_the_terms() -> None:
    declined, given_up = (
        Transfer(agree({"tsize": "0"}, 10), 10, lambda _at, length: bytes(length)) for _ in "ab"
    )
    declined.start()
    declined.received(wire.Abort(0))
    given_up.start()
    given_up.received(wire.Ack(0))
    given_up.received(wire.Abort(0))

    assert (declined.declined, given_up.declined) == (True, False)
    assert declined.failed
    assert given_up.failed


def test_a_client_that_keeps_its_last_word_to_itself_is_told_apart() -> None:
    transfer = Transfer(agree({}, 600), 600, lambda _at, length: bytes(length))
    transfer.start()
    transfer.received(wire.Ack(1))
    for _ in range(MAX_TRIES):
        transfer.timed_out()

    assert transfer.failed == "the client does not answer to the last blocks"


@given(st.lists(st.integers(0, 0xFFFF), max_size=60))
def test_no_ack_makes_more_of_the_file_than_was_sent(acks: list[int]) -> None:
    transfer = Transfer(agree({"windowsize": "4"}, 9000), 9000, lambda _at, length: bytes(length))
    transfer.start()
    sent = 0
    for number in acks:
        for packet in transfer.received(wire.Ack(number)):
            if packet[1] == wire.DATA:
                sent = max(sent, int.from_bytes(packet[2:4]))

        assert transfer.bytes_acked <= sent * 512
