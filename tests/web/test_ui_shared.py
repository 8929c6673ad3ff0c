"""What many tabs ask for is made once."""

from __future__ import annotations

from bty_app.web.ui.shared import CAPACITY, Shared


class Maker:
    """A steady clock, and a part that says how often it was made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made = 0
        self.shared: Shared[int] = Shared(lambda: self.now)

    def get(self, key: str, revision: str, *, exact: bool = False) -> int:
        return self.shared.get(key, revision, self._make, exact=exact)

    def _make(self) -> int:
        self.made += 1
        return self.made


def test_an_unchanged_part_is_made_once() -> None:
    maker = Maker()

    for _ in range(5):
        assert maker.get("a", "1") == 1
        maker.now += 100


def test_a_part_that_changes_all_the_time_is_made_once_a_second() -> None:
    maker = Maker()

    for step in range(101):
        maker.now = step / 50
        maker.get("a", str(step))

    assert maker.made == 3


def test_somebody_who_has_acted_sees_it_at_once() -> None:
    maker = Maker()
    maker.get("a", "1")

    assert maker.get("a", "2") == 1
    assert maker.get("a", "2", exact=True) == 2


def test_another_key_is_another_part() -> None:
    maker = Maker()

    assert maker.get("a", "1") == 1
    assert maker.get("b", "1") == 2
    assert maker.get("a", "1") == 1


def test_the_parts_kept_are_bounded() -> None:
    maker = Maker()
    for number in range(CAPACITY + 1):
        maker.get(str(number), "1")

    maker.get("0", "1")

    assert maker.made == CAPACITY + 2
