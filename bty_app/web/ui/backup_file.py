"""One backup for scripts that use the original's pages (CONTRACT 3.9)."""

from __future__ import annotations

import falcon

from bty_app.domain.bundle import FILE_NAME
from bty_app.errors import NotFoundError, StorageError
from bty_app.services.backup_jobs import BackupJobs
from bty_app.web.operator import by_of


class BackupDownload:
    """`/ui/backups/{backup_id}/download`."""

    def __init__(self, jobs: BackupJobs) -> None:
        self._shelf = jobs.backups.shelf

    def on_get(self, _req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Its bundle, the file `inventory.json`, as `<backup_id>.json`."""
        found = self._shelf.find(backup_id)
        path = self._shelf.path(found.id) / FILE_NAME
        try:
            file = path.open("rb")
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise NotFoundError(f"{path}: it was removed just now") from error
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
        resp.content_type = falcon.MEDIA_JSON
        resp.downloadable_as = f"{found.id}.json"
        resp.set_header("Cache-Control", "no-store")
        resp.set_stream(file, size)


class BackupFile:
    """`/ui/backups/{backup_id}`."""

    def __init__(self, jobs: BackupJobs) -> None:
        self._backups = jobs.backups

    def on_delete(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Remove it for good: `{"backup_id", "machines", "bytes_on_disk"}`; 409 while it is
        pinned. A script sends the token of a form as `X-CSRF-Token`.
        """
        found = self._backups.shelf.find(backup_id)
        self._backups.remove(backup_id, by_of(req))
        resp.media = {
            "backup_id": found.id,
            "machines": found.manifest.machines,
            "bytes_on_disk": found.size,
        }
