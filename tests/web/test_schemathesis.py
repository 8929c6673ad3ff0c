"""The API is what its document says: schemathesis asks every operation, rightly and wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.result import Ok
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from schemathesis.specs.openapi import checks

from tests.file_host import file_host
from tests.serving import MAC, Site, listening, site
from tests.web import walk
from tests.web.past import add_past
from tests.web.upstream import follow

# What is well formed and still refused: by a rule that JSON Schema cannot say (a moment, a source,
# a MAC, a name of one line, a whole number that is not written 1.0), or a cursor that no list gave.
ROUGHLY_DECLARED = (
    "GET /api/v1/events",
    "GET /api/v1/events.jsonl",
    "POST /api/v1/events/acknowledge",
    "GET /api/v1/machines",
    "POST /api/v1/machines/bulk",
    "POST /api/v1/machines/bulk/preview",
    "GET /api/v1/catalog",
    "PUT /api/v1/catalog",
    "GET /api/v1/catalog/diff",
    "POST /api/v1/catalog/check",
    "POST /api/v1/catalog/fetch",
    "POST /api/v1/catalog/entries",
    "POST /api/v1/catalog/import",
    "PATCH /api/v1/catalog/entries/{ref}",
    "POST /catalog/entries",
    "DELETE /catalog/entries",
    "POST /catalog/import",
    "PUT /api/v1/artifacts",
    "POST /api/v1/artifacts/fetch",
    "GET /boot/{name}",
    "HEAD /boot/{name}",
    "PUT /boot/{name}",
    "POST /api/v1/tokens",
    "PATCH /api/v1/settings",
    "POST /api/v1/backups/{backup_id}/restore",
    "POST /api/v1/archives/{archive}/recover",
    "POST /api/v1/archives/{archive}/salvage",
    "GET /api/v1/migration/boot/{name}",
    "POST /pxe/{mac}/progress",
)
NOT_MET = 412  # nobody can make up an If-Match that fits
# The contract passes over what it does not know, and clamps what is out of bounds.
# What is asked of things that are there, where it does no harm: nobody can make up the digest that
# a restore, a recovery or the end of a move needs, so all of them only look or are refused.
PRESENT = {"backup_id": walk.BACKUP, "archive": walk.ARCHIVE}
HARMFUL = ("DELETE /api/v1/backups/{backup_id}", "DELETE /api/v1/archives/{archive}")
LENIENT = ("/pxe", "/boot", "/events", "/images", "/catalog", "/machines", "/client.pyz")


BOUNDED = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schemathesis.serializer("application/toml")
def toml(_context: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    root = tmp_path_factory.mktemp("api")
    (root / "spool").mkdir()
    with site(root / "state") as server, file_host() as host:
        follow(server.database, host.url("/catalog.toml"))
        furnish(server)
        token = server.services.tokens.create("fuzz", "admin", "", ip=None)[1]
        with listening(server.app, root / "spool") as port:
            here = f"http://127.0.0.1:{port}"
            schema = schemathesis.openapi.from_url(f"{here}/openapi.json")
            schema.config.update(base_url=here, headers={"Authorization": f"Bearer {token}"})
            accepted = schema.config.checks.positive_data_acceptance
            accepted.expected_statuses = [*accepted.expected_statuses, str(NOT_MET)]
            yield schema


def furnish(server: Site) -> None:
    """Something of everything that can be listed."""
    server.contact()
    disk = {"path": "/dev/sda", "serial": "S1", "size": "1G"}
    server.inventory(disks=[disk], lshw={"id": "box", "class": "system"})
    server.inventory(disks=[{**disk, "serial": "S2"}], lshw={"id": "box"})
    server.save(labels=["a"], boot_mode="ipxe-exit")
    assert server.operate("GET", f"/machines/{MAC}").status_code == 200
    add_past(server)


def is_right(case: schemathesis.Case[Any]) -> bool:
    """Whether all of it is as the document has it."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def ask(case: schemathesis.Case[Any]) -> None:
    path = case.operation.path
    known = {name: PRESENT[name] for name in PRESENT.keys() & case.path_parameters}
    if known and is_right(case) and case.operation.label not in HARMFUL:
        case.path_parameters |= known
    # Wrong tokens are throttled; tests/web/test_tokens.py asks every route without one.
    left_out = [checks.ignored_auth]
    if case.operation.label in ROUGHLY_DECLARED:
        left_out.append(checks.positive_data_acceptance)
    if path.startswith(LENIENT) or path == "/":
        left_out.append(checks.negative_data_rejection)
    case.call_and_validate(excluded_checks=left_out, allow_redirects=False, timeout=10)


def test_every_operation_is_what_it_says(described: schemathesis.BaseSchema) -> None:
    config = HypothesisTestConfig(
        project=described.config, modes=list(HypothesisTestMode), explicit_settings=BOUNDED
    )
    wrong, asked = {}, 0
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        operation, asked = found.ok(), asked + 1
        try:
            create_test(operation=operation, test_func=ask, config=config)()
        except BaseExceptionGroup as error:
            wrong[operation.label] = "\n".join(str(one) for one in error.exceptions)
        except Exception as error:  # noqa: BLE001 - all of them are told at once
            wrong[operation.label] = str(error)

    assert wrong == {}, "\n\n".join(f"== {label}\n{what}" for label, what in wrong.items())
    assert asked > 80
