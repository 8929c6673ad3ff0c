"""The card of the settings page for the schedule of backups, and what it would remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import falcon

from bty_app.domain.backup_settings import (
    BACKUP,
    CADENCE,
    INCLUDE_STATE,
    SKIP_UNCHANGED,
    WEEKDAY,
    backup_settings,
)
from bty_app.domain.moments import stamp
from bty_app.domain.schedule import WEEKDAYS, Cadence, next_slot
from bty_app.domain.setting import Setting
from bty_app.domain.settings import problem
from bty_app.services.backups import Backups, Listed
from bty_app.services.settings import Settings
from bty_app.web.forms import Form, form_of
from bty_app.web.pages import Answer, Pages, see_other

HERE = "/ui/settings/backup"
_CHOICES: Mapping[str, tuple[str, ...]] = {
    CADENCE.key: tuple(
        cadence.value for cadence in (Cadence.DAILY, Cadence.WEEKLY, Cadence.MANUAL)
    ),
    WEEKDAY.key: WEEKDAYS,
    INCLUDE_STATE.key: ("yes", "no"),
    SKIP_UNCHANGED.key: ("yes", "no"),
}
# The fields of the original's form (CONTRACT 3.9).
_ORIGINAL = {
    "backup_cadence": "backup.cadence",
    "backup_retention_count": "backup.retention_count",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A setting as the card asks for it; `choices` is empty for what is typed."""

    setting: Setting
    text: str
    problem: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What the settings as entered would do to the backups that there are."""

    goes: tuple[Listed, ...]
    stays: tuple[Listed, ...]
    next_at: str | None


class ScheduleView:
    """The card on a page of its own, with what it would do, before it is saved."""

    def __init__(self, pages: Pages, settings: Settings, backups: Backups) -> None:
        self._pages = pages
        self.settings = settings
        self._backups = backups

    def fields(self, entered: Mapping[str, str] | None = None) -> list[Field]:
        """The rows of the card, as stored or as entered."""
        shown = {row.setting.key: row for row in self.settings.shown()}
        rows = []
        for setting in BACKUP:
            stored = shown[setting.key]
            given = (entered or {}).get(setting.key)
            text = stored.value if given is None else given
            wrong = stored.problem if given is None else (problem(setting, text) if text else "")
            rows.append(Field(setting, text, wrong, _CHOICES.get(setting.key, ())))
        return rows

    def preview(self, entered: Mapping[str, str]) -> Preview:
        """What would become of each backup."""
        wanted = backup_settings({key: text for key, text in entered.items() if text})
        listed = self._backups.listed(wanted.policy)
        upcoming = next_slot(wanted.schedule, self._backups.journal.clock())
        return Preview(
            goes=tuple(row for row in listed if not row.stays),
            stays=tuple(row for row in listed if row.stays),
            next_at=stamp(upcoming) if upcoming else None,
        )

    def show(
        self, req: falcon.Request, resp: falcon.Response, entered: Mapping[str, str], status: int
    ) -> None:
        """Answer with the card as it was entered, and with what it would do."""
        fields = self.fields(entered)
        good = not any(field.problem for field in fields)
        values: dict[str, object] = {
            "schedule": fields,
            "refused": status != 200,
            "preview": self.preview(entered) if good else None,
        }
        self._pages.render(req, resp, Answer("backup_schedule_preview.html", values, status))


class SettingsBackup:
    """`/ui/settings/backup`."""

    def __init__(self, view: ScheduleView) -> None:
        self._view = view

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the card."""
        see_other(resp, "/ui/settings#backup-schedule")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Store the fields: 303 to the card. With `preview` only show what they would do; 422 with
        the card, as it was entered, when a field breaks its rule.
        """
        form = form_of(req)
        entered = _entered(form)
        if any(field.problem for field in self._view.fields(entered)):
            self._view.show(req, resp, entered, 422)
        elif form.text("preview") is not None:
            self._view.show(req, resp, entered, 200)
        else:
            self._view.settings.change(entered, ip=req.context.client_ip)
            see_other(resp, "/ui/settings?saved=1#backup-schedule")


def _entered(form: Form) -> dict[str, str]:
    found = {setting.key: form.text(setting.key) for setting in BACKUP}
    for name, key in _ORIGINAL.items():
        found[key] = found[key] if found[key] is not None else form.text(name)
    if form.text("backup_cadence") is not None and form.text("backup_enabled") != "1":
        found[CADENCE.key] = Cadence.MANUAL.value
    return {key: text.strip() for key, text in found.items() if text is not None}
