"""Which machine has which address."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.netboot.owners import Owners

TABLE = """\
IP address       HW type     Flags       HW address            Mask     Device
10.77.0.5        0x1         0x2         52:54:00:AA:BB:CC     *        eth0
10.77.0.6        0x1         0x0         00:00:00:00:00:00     *        eth0
10.77.0.7        0x1         0x0         52:54:00:00:00:07     *        eth0
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "arp"
    path.write_text(TABLE)
    return path


def test_what_dhcp_told_counts_before_what_the_kernel_knows(table: Path) -> None:
    owners = Owners(neighbours=table)
    before = owners.of("10.77.0.5")

    owners.learn("10.77.0.5", "52:54:00:12:34:56")

    assert (before, owners.of("10.77.0.5")) == ("52:54:00:aa:bb:cc", "52:54:00:12:34:56")


@pytest.mark.parametrize("ip", ["10.77.0.6", "10.77.0.7", "10.77.0.8", "10.77.0", ""])
def test_a_neighbour_that_is_not_resolved_is_not_known(table: Path, ip: str) -> None:
    assert Owners(neighbours=table).of(ip) is None


def test_without_a_table_nobody_is_known(tmp_path: Path) -> None:
    assert Owners(neighbours=tmp_path / "none").of("10.77.0.5") is None


def test_only_the_last_are_remembered(tmp_path: Path) -> None:
    owners = Owners(capacity=3, neighbours=tmp_path / "none")
    for last in range(5):
        owners.learn(f"10.0.0.{last}", f"02:00:00:00:00:0{last}")

    assert [last for last in range(5) if owners.of(f"10.0.0.{last}")] == [2, 3, 4]
