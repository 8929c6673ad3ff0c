"""A bounded memory."""

from __future__ import annotations

from bty_app.services.slots import Slots


def test_a_key_keeps_its_slot_until_others_were_used_later() -> None:
    slots: Slots[list[str]] = Slots(list, capacity=2)
    first, second = slots.of("a"), slots.of("b")

    assert slots.of("a") is first
    slots.of("c")

    assert slots.of("a") is first
    assert slots.of("b") is not second
