"""How a moment is spelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.moments import stamp, with_z

MOMENTS = st.datetimes(
    min_value=datetime(1000, 1, 2),  # noqa: DTZ001 - the zone is added below
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)


def test_the_spelling_is_the_contracts() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 11, 23, 0, 37, 18, 570473, tzinfo=east)

    assert stamp(moment) == "2026-11-22T19:07:18.570473+00:00"
    assert stamp(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000+00:00"
    assert with_z(stamp(moment)) == "2026-11-22T19:07:18.570473Z"
    assert with_z(None) is None


@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time_does_and_reads_back(one: datetime, other: datetime) -> None:
    assert (stamp(one) < stamp(other)) == (one.astimezone(UTC) < other.astimezone(UTC))
    assert datetime.fromisoformat(stamp(one)) == one
