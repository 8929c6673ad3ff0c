"""What answers to machines leave in memory, beside the database."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.services.boot_stages import Note, unnoted
from bty_app.services.last_answers import LastAnswers
from bty_app.services.late_events import LateEvents


@dataclass(frozen=True, slots=True)
class Aside:
    """The stages of boots, what each machine was told last, and facts that cannot be recorded."""

    last: LastAnswers
    late: LateEvents
    note: Note = unnoted
