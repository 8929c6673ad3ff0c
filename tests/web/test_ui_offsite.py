"""The card of copies elsewhere, which a page shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bty_app.domain.jobs import Job, State, Step
from bty_app.services.offsite_jobs import OffsiteState
from bty_app.web.assets import Assets
from bty_app.web.pages import environment

STATE = OffsiteState("s3://copies/lab", 30, "0123456789abcdef", there=3, waiting=0)
JOB = Job("7", "offsite", "push", "copy backups", State.RUNNING, Step("sending state.db", 5, 10), 0)


def card(state: OffsiteState | None) -> str:
    text = '{% from "offsite_card.html" import offsite_card %}'
    text += '{{ offsite_card(state, "jobs", "/ui/backups/offsite") }}'
    return " ".join(environment(Assets()).from_string(text).render(state=state).split())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, ["Nowhere", "offsite.url"]),
        (STATE, ["All there", "s3://copies/lab", "Copy now", "0123456789abcdef", "newest 30"]),
        (replace(STATE, waiting=2), ["Waiting", "<dd>2</dd>"]),
        (replace(STATE, there=None, waiting=None, key_id=""), ["Waiting"]),
        (replace(STATE, job=JOB), ["Copying", "sending state.db", "50 %"]),
        (
            replace(STATE, error="no <room>", next_try_seconds=90),
            ["Failing", "no &lt;room&gt;", "Try again now", "Next try"],
        ),
        (replace(STATE, last_id="x", last_at="2026-11-22T03:00:00.000000+00:00"), ["Last", "2026"]),
    ],
)
def test_the_state_comes_first_then_the_next_step(
    state: OffsiteState | None, words: list[str]
) -> None:
    html = card(state)

    for word in words:
        assert word in html
    assert ("Copy now" in html or "Try again now" in html) is (state is not None and not state.job)
    assert "style=" not in html
