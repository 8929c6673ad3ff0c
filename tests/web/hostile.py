"""Texts that somebody means ill by, and the ways by which they come in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import falcon.testing

from bty_app import __version__
from bty_app.domain.backup_settings import BACKUP
from bty_app.domain.boot_stages import Stage
from bty_app.domain.settings import SETTINGS
from bty_app.errors import BtyError
from bty_app.services import bundles
from bty_app.web.ui.catalog_form import entered_of
from tests.domain.test_hardware import tree
from tests.netboot_set import packed
from tests.web import walk
from tests.web.site import MAC, REF, Site, Visit, form, multipart

# It stands in each of the texts: where it may not be at all, it is looked for.
CANARY = "kestrel"
URL = "http://images.test/"
NOBODY = "http://127.0.0.1:9/"  # nothing listens there
PRODUCT = str(7919 * 104729)  # what a template engine would make of one of them
STRINGS: Mapping[str, str] = {
    "element": f"<script>window.__hit='{CANARY}'</script>",
    "attribute": f'"><img src=x onerror="window.__hit=\'{CANARY}\'">',
    "other quotes": f"' autofocus tabindex=1 onfocus=window.__hit='{CANARY}' x='",
    "no quotes": f"x onmouseover=window.__hit='{CANARY}'",
    "drawing": f"<svg/onload=window.__hit='{CANARY}'>",
    "address": f"javascript:window.__hit='{CANARY}'",
    "style": f"</style></title></textarea><style>*{{display:none}}/*{CANARY}*/</style>",
    "comment": f"--><!--{CANARY}",
    "htmx": f'<b hx-get="/ui/logout" hx-trigger="load">{CANARY}</b>',
    "entity": f"&lt;script&gt;{CANARY}&amp;#x3c;",
    "template": f"{CANARY}{{{{7919*104729}}}}${{7919*104729}}{{% if 1 %}}hit{{% endif %}}{{#",
    "ipxe lines": f"x\n#!ipxe\nchain http://{CANARY}.test/x ||\nshell",
    "ipxe words": f"${{net0/mac}} && chain {CANARY} || shell ; sanboot",
    "shell": f"$(touch {CANARY}); `id` | rm -rf / & '\"\\",
    "toml": f'"\nsha256 = "{CANARY}"\n[[images]]\n',
    "json": f'"}},{{"{CANARY}":"',
    "sheet": f'=cmd|"/c {CANARY}"!A1',
    "log": f"x\nlevel=error at={CANARY} msg=forged",
    "header": f"x\r\nSet-Cookie: {CANARY}=1\r\n\r\n<script>1</script>",
    "metrics": f'x"}} 1\n{CANARY} 1\n#',
    "terminal": f"\x1b[2J\x1b]0;{CANARY}\x07\x9b31m",
    "bidi": f"{CANARY}\u202etxt.exe\u2066x\u2069\u200f",
    "unseen": f"{CANARY}\u200b\u200d\ufeff\u00ad\U000e0041",
    "marks": f"{CANARY}{'a̴͖̿' * 40}",
    "separators": f"{CANARY}\u2028b\u2029c\u0085d",
    "nul": f"{CANARY}\x00x",
    "half a pair": f"{CANARY}\ud800x\udfff",
    "path": f"../../../../tmp/{CANARY}",
    "format": f"%s%n%(hit)s {{0.__class__}} {CANARY}",
    "one word": f"{CANARY}{'W' * 110}",
    "wide": CANARY + "\ufdfd" * 110,
    "long": CANARY + "W" * 1_000_000,
    "blank": "   ",
    "nothing": "",
}


@dataclass(slots=True)
class Desk:
    """Where boxes and operators stand."""

    site: Site
    visit: Visit
    folder: Path
    mark: str = ""

    def __post_init__(self) -> None:
        self.mark = self.visit.csrf_token()

    def box(self, what: str, body: object) -> falcon.testing.Result:
        """What a machine sends."""
        return self.site.client().simulate_post(
            f"/pxe/{MAC}/{what}",
            body=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )

    def script(self, method: str, path: str, body: object) -> falcon.testing.Result:
        """What a script of an operator sends."""
        return self.site.client().simulate_request(
            method,
            path,
            body=json.dumps(body),
            headers={
                "Content-Type": "application/json",
                "Cookie": f"bty-token={self.visit.token}",
                "X-CSRF-Token": self.mark,
            },
        )

    def form(self, path: str, /, **fields: str) -> falcon.testing.Result:
        """What a browser of an operator sends."""
        fields["csrf_token"] = self.mark
        asked = form({"Cookie": f"bty-token={self.visit.token}"}, **fields)
        return self.site.client().simulate_post(path, **asked)

    def get(self, path: str, **headers: str) -> falcon.testing.Result:
        """What somebody who has logged in reads."""
        return self.visit.get(path, **headers)


Door = Callable[[Desk, str], "falcon.testing.Result | None"]


def _disk(key: str) -> Door:
    disk = {"path": "/dev/sda", "serial": "S1"}
    return lambda desk, text: desk.box("inventory", {"disks": [disk | {key: text}]})


def _lshw(desk: Desk, text: str) -> falcon.testing.Result:
    """In every text of the tree, and as a key."""

    def spoilt(node: Any) -> Any:
        if isinstance(node, dict):
            kept = {"id", "class", "children", "size"}
            return {key: spoilt(at) if key != "class" else at for key, at in node.items()} | {
                key: text
                for key in (*node, "vendor", "product", "logicalname", "description")
                if key not in kept
            }
        return [spoilt(child) for child in node] if isinstance(node, list) else node

    whole = spoilt(tree()) | {text: text, "configuration": {text: text}, "capabilities": [text]}
    return desk.box("inventory", {"disks": [], "lshw": whole})


def _bundle(column: str) -> Door:
    """A bundle is imported beside the server, as the guide says."""

    def take(desk: Desk, text: str) -> None:
        folder = Path(tempfile.mkdtemp(dir=desk.folder))
        machine: dict[str, object] = {"mac": "02:00:00:00:00:09"} | {
            column: text if column != "known_disks" else [{"path": text, "serial": text}]
        }
        if column == "hw_lshw":
            machine[column] = {"id": text, text: text}
        whole = {"bty_export_version": 3, "machines": [machine]}
        (folder / "inventory.json").write_text(json.dumps(whole))
        try:
            bundles.import_bundle(desk.folder, folder, version=__version__, clock=desk.site.hands)
        except BtyError as error:
            if not error.message.isprintable():  # a terminal shows it
                raise

    return take


def _toml(key: str) -> Door:
    table: dict[str, str] = {"name": "x.img", "src": "http://images.test/x.img"}

    def send(desk: Desk, text: str) -> falcon.testing.Result:
        fields = table | {key: f"{URL}{text}" if key == "src" else text}
        lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
        data = "\n".join(["version = 1", "[[images]]", *lines]).encode()
        return desk.visit.upload(
            "/ui/catalog/upload",
            ("csrf_token", None, desk.mark.encode()),
            ("file", "catalog.toml", data),
        )

    return send


def _entry(field_name: str) -> Door:
    def change(desk: Desk, text: str) -> falcon.testing.Result:
        path = f"/api/v1/catalog/entries/{REF}"
        now = desk.get(path).json
        value: object = [f"{URL}{text}"] if field_name == "mirrors" else text
        body = {field_name: value, "expected": {field_name: now.get(field_name)}}
        return desk.script("PATCH", path, body)

    return change


def _edited(field_name: str) -> Door:
    def change(desk: Desk, text: str) -> falcon.testing.Result:
        path = f"/ui/catalog/entries/{REF}"
        expected = entered_of(desk.site.services.catalog.entry(REF)).token
        return desk.form(
            path,
            expected=expected,
            **{field_name: f"{URL}{text}" if field_name == "mirrors" else text},
        )

    return change


def _machine(field_name: str) -> Door:
    def put(desk: Desk, text: str) -> falcon.testing.Result:
        value: object = [text] if field_name == "labels" else text
        body = {"boot_mode": "bty-flash-once", "bty_image_ref": REF, field_name: value}
        return desk.script("PUT", f"/machines/{MAC}", body)

    return put


def _form(path: str, name: str, /, **others: str) -> Door:
    return lambda desk, text: desk.form(path, **others, **{name: text})


def _query(path: str, *names: str) -> Door:
    def ask(desk: Desk, text: str) -> falcon.testing.Result:
        said = text.encode("utf-8", "replace").decode()
        return desk.site.client().simulate_get(
            path, params=dict.fromkeys(names, said), headers=_cookie(desk)
        )

    return ask


def _header(path: str, name: str) -> Door:
    def ask(desk: Desk, text: str) -> falcon.testing.Result | None:
        if any(char in text for char in "\r\n\0"):
            return None  # no server passes these on
        value = text.encode("utf-8", "replace").decode("latin-1")[:8000]
        return desk.site.client().simulate_get(path, headers=_cookie(desk) | {name: value})

    return ask


def _script(method: str, path: str, body: Callable[[str], object]) -> Door:
    return lambda desk, text: desk.script(method, path, body(text))


def _cookie(desk: Desk) -> dict[str, str]:
    return {"Cookie": f"bty-token={desk.visit.token}"}


def _agent(desk: Desk, text: str) -> falcon.testing.Result | None:
    if any(char in text for char in "\r\n\0"):
        return None
    desk.site.hands.forward(hours=1)  # logins are bounded
    asked = form(password="pässwört 1")
    asked["headers"]["User-Agent"] = text.encode("utf-8", "replace").decode("latin-1")[:8000]
    return desk.site.client().simulate_post("/ui/login", **asked)


def _stage(stage: Stage, key: str) -> Door:
    """What DHCP and TFTP read in packets comes to the timeline this way."""

    def note(desk: Desk, text: str) -> None:
        desk.site.services.stages.note(stage, MAC, "192.0.2.7", **{key: text})
        desk.site.services.stages.flush()

    return note


def _upload(desk: Desk, text: str) -> falcon.testing.Result:
    name = text.encode("utf-8", "replace").decode().replace('"', "%22").replace("\r", "%0D")
    data = packed({name.replace("\n", "%0A")[:90]: b"x"})
    body = multipart(
        ("csrf_token", None, desk.mark.encode()),
        ("file", name.replace("\n", "%0A")[:4000], data),
    )
    kind = {"Content-Type": "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"}
    return desk.site.client().simulate_post(
        "/ui/netboot/upload", body=body, headers=_cookie(desk) | kind
    )


def _path(before: str, after: str = "") -> Door:
    def ask(desk: Desk, text: str) -> falcon.testing.Result:
        return desk.site.client().simulate_get(
            f"{before}{_quoted(text)}{after}", headers=_cookie(desk) | {"Accept": "text/html"}
        )

    return ask


def _act(method: str, before: str, after: str = "", **body: object) -> Door:
    """As a part of the path of something that changes what it names."""
    return lambda desk, text: desk.script(method, f"{before}{_quoted(text)}{after}", body)


def _act_form(before: str, after: str, **fields: str) -> Door:
    return lambda desk, text: desk.form(f"{before}{_quoted(text)}{after}", **fields)


def _leaving(desk: Desk, text: str) -> falcon.testing.Result:
    """What it does is taken back: nothing else could be changed meanwhile."""
    path = "/api/v1/migration/leaving"
    answer = desk.script("POST", path, {"to": f"http://{text}"})
    desk.script("DELETE", path, {})
    return answer


def _quoted(text: str) -> str:
    """As a part of a path, which a slash would end."""
    safe = text.encode("utf-8", "replace").decode()[:4000].replace("/", "_")
    return falcon.uri.encode_value(safe)


_PAST = f"/ui/backups/{walk.BACKUP}"
_OLD = f"/ui/recover/{walk.ARCHIVE}"
_BACKUPS = "/api/v1/backups/"
_MOVE = "/api/v1/migration"
_ONE = f"/ui/machines/{MAC}"
_ANY = "/api/v1/machines/bulk"
DOORS: dict[str, Door] = {
    **{f"inventory disk {key}": _disk(key) for key in ("path", "size", "vendor", "model")},
    **{f"inventory disk {key}": _disk(key) for key in ("serial", "tran", "removable")},
    "inventory lshw": _lshw,
    "inventory key": lambda desk, text: desk.box("inventory", {text: 1}),
    "progress error": lambda d, text: d.box("progress", {"phase": "writing", "error": text}),
    "progress phase": lambda d, text: d.box("progress", {"phase": text}),
    "progress bytes": lambda d, text: d.box("progress", {"phase": "writing", "bytes": text}),
    "progress key": lambda desk, text: desk.box("progress", {"phase": "writing", text: 1}),
    "status reason": lambda d, text: d.box("status", {"status": "failed", "reason": text}),
    "status word": lambda desk, text: desk.box("status", {"status": text}),
    "status key": lambda desk, text: desk.box("status", {"status": "failed", text: 1}),
    "done body": lambda desk, text: desk.box("done", {text: text}),
    "booted body": lambda desk, text: desk.box("booted", {text: text}),
    **{f"bundle {key}": _bundle(key) for key in ("mac", "known_disks", "hw_lshw", "hw_lshw_at")},
    "DHCP text": _stage(Stage.DHCP_IGNORED, "why"),
    "TFTP file": _stage(Stage.TFTP_FAILED, "file"),
    "TFTP error": _stage(Stage.TFTP_FAILED, "text"),
    **{f"catalog.toml {key}": _toml(key) for key in ("name", "src", "sha256", "format")},
    **{f"catalog.toml {key}": _toml(key) for key in ("arch", "description", "ref")},
    **{f"entry {key}": _entry(key) for key in ("description", "sha256", "format")},
    **{f"entry {key}": _entry(key) for key in ("arch", "mirrors", "unknown", "name")},
    **{f"entry form {key}": _edited(key) for key in ("name", "description", "mirrors")},
    "added src": lambda d, text: d.script("POST", "/catalog/entries", {"image_url": NOBODY + text}),
    "v1 added src": lambda d, text: d.script(
        "POST", "/api/v1/catalog/entries", {"image_url": f"{NOBODY}v1{text}"}
    ),
    "v1 machine": lambda d, text: d.script(
        "PUT", f"/api/v1/machines/{MAC}", {"boot_mode": "bty-tui", "target_disk_serial": text}
    ),
    "added form src": lambda d, text: d.form("/ui/catalog/entries", image_url=NOBODY + text),
    "check src": lambda d, text: d.form("/ui/catalog/entries/check", src=URL + text),
    "told of events": lambda d, text: d.form(
        "/ui/settings", **{"webhook.targets": f"no.* {URL}{text}"}
    ),
    **{
        f"machine {key}": _machine(key)
        for key in ("boot_mode", "bty_image_ref", "sanboot_drive", "labels", "unknown")
    },
    **{
        f"machine form {key}": _form(_ONE, key, boot_mode="bty-inventory")
        for key in ("labels", "typed_serial", "was", "sanboot_drive")
    },
    "machine serial": _machine("target_disk_serial"),
    "every setting": lambda d, text: d.form("/ui/settings", **{row.key: text for row in SETTINGS}),
    "setting catalog_url": _form("/ui/settings", "upstream.catalog_url"),
    "setting by script": lambda d, text: d.script("PATCH", "/api/v1/settings", {text: text}),
    "token name": _form("/ui/account/tokens", "name", scope="read"),
    "token scope": _form("/ui/account/tokens", "scope", name="x"),
    "token end": _form("/ui/account/tokens", "expires", name="x", scope="read"),
    "password": _form("/ui/account/password", "current", new="long enough 1", again="x"),
    "release tag": _form("/ui/netboot/fetch-release", "tag"),
    "upload name": _upload,
    "way back": _form("/ui/events/acknowledge", "return_to", ids="1"),
    "acknowledged": _form("/ui/events/acknowledge", "ids"),
    "query of machines": _query(
        "/ui/machines",
        *("q", "label", "deleted", "missing", "image", "sort", "page", "mode", "phase", "seen"),
    ),
    "query of events": _query(
        "/ui/events", "q", "kind", "subject_id", "subject_kind", "actor", "source_ip"
    ),
    "query of when": _query("/ui/events", "since", "until"),
    "query of the log": _query("/api/v1/events.jsonl", "q"),
    "query of images": _query("/ui/catalog", "q"),
    "query of a poll": _query("/ui/dashboard/state", "rev"),
    "query of a preview": _query(f"{_ONE}/preview", "typed_serial"),
    "query of a bulk act": _query("/ui/machines/bulk", "macs"),
    "query of a selection": _query("/ui/machines/bulk", "matching"),
    "query of a script": _query(f"/pxe/{MAC}", "preview"),
    "query of a kernel": _query("/boot/vmlinuz", "mac"),
    "agent of a login": _agent,
    "agent of a box": _header(f"/pxe/{MAC}", "User-Agent"),
    "host": _header(f"/pxe/{MAC}", "Host"),
    "forwarded": _header(f"/pxe/{MAC}", "X-Forwarded-For"),
    "htmx header": _header("/ui/machines", "HX-Request"),
    "cookie": _header("/ui/login", "Cookie"),
    "authorization": _header("/machines", "Authorization"),
    **{
        f"{method} {path}": _script(method, path, body)
        for method, path, body in (
            ("PUT", "/api/v1/catalog", lambda text: {"catalog": text}),
            ("POST", "/workers/backups", lambda text: {"trigger": text}),
            ("POST", "/catalog/import", lambda text: {"url": NOBODY + text}),
            ("POST", "/api/v1/catalog/import", lambda text: {"source": NOBODY + text}),
            ("POST", "/boot/releases", lambda text: {"tag": text}),
            ("POST", "/api/v1/artifacts/fetch", lambda text: {"tag": text}),
            ("POST", "/api/v1/account/password", lambda text: {"current": text, "new": text}),
            ("POST", "/api/v1/tokens", lambda text: {"name": f"s {text}", "scope": "read"}),
            ("POST", "/api/v1/events/acknowledge", lambda text: {"ids": [text]}),
            ("POST", _ANY, lambda text: {"id": text, "digest": text, "macs": [MAC], "act": text}),
            ("POST", f"{_ANY}/preview", lambda text: {"macs": [MAC], "act": "set", "labels": text}),
            ("PATCH", f"{_BACKUPS}{walk.BACKUP}", lambda text: {"pinned": False, text: text}),
            ("POST", f"{_BACKUPS}{walk.BACKUP}/restore", lambda text: {"macs": [text]}),
            ("POST", "/api/v1/restore/undo", lambda text: {"digest": text}),
            ("POST", f"/api/v1/archives/{walk.ARCHIVE}/recover", lambda text: {"parts": [text]}),
            ("POST", f"/api/v1/archives/{walk.ARCHIVE}/salvage", lambda text: {"parts": [text]}),
            ("POST", f"{_MOVE}/moved", lambda text: {"copy": text}),
        )
    },
    "bulk matching": _script(
        "POST", f"{_ANY}/preview", lambda text: {"matching": text, "act": "wake"}
    ),
    "bulk form": _form("/ui/machines/bulk", "id", digest="x", macs=MAC, act="wake"),
    "bulk form act": _form("/ui/machines/bulk", "act", id="x", digest="x", macs=MAC),
    "prewarmed": _act_form("/ui/images/", "/prewarm"),
    "warmed src": _form("/ui/catalog/entries/warm", "src"),
    "upstream url": _form("/ui/settings/upstream", "catalog_url"),
    "job": _path("/api/v1/jobs/"),
    "job form": lambda desk, text: desk.form(
        f"/ui/jobs/{_quoted(text)}/cancel", return_to="/ui/netboot"
    ),
    "path of a machine": _path("/pxe/"),
    "path of a page": _path("/ui/machines/"),
    "path of a file": _path("/boot/"),
    "path of an image": _path("/ui/catalog/entries/"),
    "path of nothing": _path("/ui/"),
    "leaving": _leaving,
    **{
        f"backup form {word}": _act_form("/ui/backups/", f"/{word}", digest="x", sure="1")
        for word in ("pin", "unpin", "prove", "drill", "remove", "restore")
    },
    "backup removed": _act("DELETE", _BACKUPS),
    "backup removed as a file": _act("DELETE", "/ui/backups/"),
    "backup run cancelled": _act("DELETE", "/workers/backups/"),
    "path of a bundle": _path("/ui/backups/", "/download"),
    "backup proven": _act("POST", _BACKUPS, "/verify"),
    "backup pinned": _act("PATCH", _BACKUPS, pinned=True),
    "backup restored": _act("POST", _BACKUPS, "/restore"),
    "drill": lambda d, text: d.script(
        "POST", f"{_BACKUPS}{walk.BACKUP}/verify?drill={_quoted(text)}", {}
    ),
    "archive": _act("POST", "/api/v1/archives/", "/recover", parts=["labels"]),
    "archive form": _act_form("/ui/recover/", "", digest="x", sure="1"),
    "archive salvaged": _act("POST", "/api/v1/archives/", "/salvage", parts=["labels"]),
    "salvage form": _act_form("/ui/recover/", "/salvage", digest="x", sure="1", carry="1"),
    "salvage part": _form(f"{_OLD}/salvage", "part"),
    "salvage digest": _form(f"{_OLD}/salvage", "digest", sure="1", carry="1"),
    "archives removed": _form("/ui/recover/remove", "name", sure="1"),
    "archive removed": _act("DELETE", "/api/v1/archives/"),
    "query of archives": _query("/ui/recover/remove", "name"),
    "restore machine": _form(f"{_PAST}/restore", "mac", digest="x", sure="1"),
    "restore digest": _form(f"{_PAST}/restore", "digest", sure="1"),
    "undo digest": _form("/ui/restore/undo", "digest", sure="1"),
    "recover part": _form(_OLD, "part", digest="x", sure="1"),
    "recover digest": _form(_OLD, "digest", sure="1"),
    "recover machine": _form(_OLD, "mac", digest="x", sure="1"),
    "backup recovered": _form(f"{_PAST}/recover", "part", digest="x", sure="1"),
    "path of a backup to recover": _path("/ui/backups/", "/recover"),
    "backup schedule": lambda d, text: d.form(
        "/ui/settings/backup", **{row.key: text for row in BACKUP}
    ),
    "backup schedule shown": lambda d, text: d.form(
        "/ui/settings/backup", preview="1", **{row.key: text for row in BACKUP}
    ),
    "query of a comparison": _query(f"{_PAST}/compare", "q"),
    "query of a restore": _query(f"{_PAST}/restore", "mac"),
    "query of an archive": _query(_OLD, "part"),
    "path of a backup": _path("/ui/backups/", "/compare"),
    "path of a machine then": _path(f"{_PAST}/machines/"),
    "path of a copy": _path(f"{_MOVE}/copy/"),
    "path of a boot file": _path(f"{_MOVE}/boot/"),
    "path of an archive": _path("/ui/recover/"),
    "path of a tar": _path(_BACKUPS, "/archive.tar"),
}
# These take no text of this table: what they refuse may still be told of, in an event or an answer.
REFUSE = frozenset(
    {
        *("POST /api/v1/account/password", "POST /api/v1/artifacts/fetch"),
        *("POST /api/v1/events/acknowledge", "POST /api/v1/machines/bulk"),
        *("POST /api/v1/machines/bulk/preview", "POST /boot/releases", "POST /catalog/import"),
        "POST /api/v1/catalog/import",
        *("PUT /api/v1/catalog", "acknowledged", "bulk form", "bulk form act", "every setting"),
        *("catalog.toml arch", "catalog.toml format", "catalog.toml ref", "catalog.toml sha256"),
        *("entry arch", "entry format", "entry sha256", "entry unknown", "setting by script"),
        *("inventory disk removable", "inventory key", "job", "job form", "machine boot_mode"),
        *("machine bty_image_ref", "machine form labels", "machine form sanboot_drive"),
        *("machine form was", "machine labels", "machine sanboot_drive", "machine unknown"),
        *("password", "path of a file", "path of a machine", "path of a page", "path of nothing"),
        *("path of an image", "progress bytes", "progress key", "progress phase", "release tag"),
        *("query of a kernel", "status key", "status word", "token end", "token scope"),
        *("POST /workers/backups", "backup run cancelled", "path of a bundle", "prewarmed"),
        *("backup removed as a file",),
        *("upload name", "warmed src"),
        *(f"PATCH {_BACKUPS}{walk.BACKUP}", f"POST {_BACKUPS}{walk.BACKUP}/restore"),
        f"POST /api/v1/archives/{walk.ARCHIVE}/salvage",
        *(f"POST /api/v1/archives/{walk.ARCHIVE}/recover", f"POST {_MOVE}/moved"),
        *("POST /api/v1/restore/undo", "archive", "archive form", "backup form drill"),
        *("backup form pin", "backup form prove", "backup form remove", "backup form restore"),
        *("backup form unpin", "backup pinned", "backup proven", "backup removed"),
        *("backup restored", "backup schedule", "backup schedule shown", "drill"),
        *("path of a backup", "path of a boot file", "path of a copy", "path of a machine then"),
        *("path of a tar", "path of an archive", "query of a restore", "recover digest"),
        *("recover part", "restore digest", "restore machine", "undo digest"),
        *("archives removed", "archive removed", "query of archives", "recover machine"),
        *("backup recovered", "path of a backup to recover"),
        *("archive salvaged", "salvage form", "salvage digest"),
    }
)
