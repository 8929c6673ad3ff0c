"""A server whose database somebody moves away: machines are answered, nothing is acknowledged that
no file has, and it says what to do.
"""

from __future__ import annotations

from tests.serving import REF, Site


def test_machines_are_answered_and_nothing_is_acknowledged(server: Site) -> None:
    server.contact()
    assert server.save(boot_mode="ipxe-exit", bty_image_ref=REF).status_code == 200
    path = server.state_dir / "state.db"
    path.rename(path.with_name("away.db"))

    assert server.contact().startswith("#!ipxe")
    refused = server.save(boot_mode="bty-inventory", bty_image_ref=REF)
    ready = server.get("/readyz")

    assert refused.status_code >= 500
    assert "was removed or replaced while it was in use" in refused.text
    assert ready.status_code == 503, ready.text
    assert "was removed or replaced" in ready.text
    path.with_name("away.db").rename(path)
    server.clock.forward(60)
    assert server.get("/readyz").status_code == 200
    assert server.save(boot_mode="bty-inventory", bty_image_ref=REF).status_code == 200
