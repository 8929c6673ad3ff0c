"""What to tell the LAN's DHCP server, with the addresses of this very server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from string import Template
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to paste where, and what there is to know about it."""

    name: str
    where: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The addresses of a server, as machines need them."""

    host: str
    bootstrap: str
    http_boot: str
    http_boot_arm64: str
    recipes: tuple[Recipe, ...]

    @property
    def is_loopback(self) -> bool:
        """Whether no machine can reach it by this name."""
        address = _address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)

    @property
    def is_name(self) -> bool:
        """Whether it is a name, where some programs take an address alone."""
        return _address(self.host) is None


# Option 93 (RFC 4578, and the registry that goes on from it), and what such a machine boots.
ARCHITECTURES = (
    ("0", "BIOS", "PXEClient", "undionly.kpxe"),
    ("7, 9", "UEFI, x86-64", "PXEClient", "ipxe.efi"),
    ("11", "UEFI, arm64", "PXEClient", "ipxe-arm64.efi"),
    ("16", "UEFI HTTP boot, x86-64", "HTTPClient", "$http_boot"),
    ("19", "UEFI HTTP boot, arm64", "HTTPClient", "$http_boot_arm64"),
    ("any", "iPXE: user class “iPXE”, or option 175 is there", "", "$bootstrap"),
)

_DNSMASQ = """\
dhcp-match=set:bios,option:client-arch,0
dhcp-match=set:efi,option:client-arch,7
dhcp-match=set:efi,option:client-arch,9
dhcp-match=set:arm64,option:client-arch,11
dhcp-match=set:http,option:client-arch,16
dhcp-match=set:httparm64,option:client-arch,19
dhcp-match=set:ipxe,175
dhcp-option-force=tag:http,60,HTTPClient
dhcp-option-force=tag:httparm64,60,HTTPClient
dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe
dhcp-boot=tag:efi,tag:!ipxe,ipxe.efi
dhcp-boot=tag:arm64,tag:!ipxe,ipxe-arm64.efi
dhcp-boot=tag:http,tag:!ipxe,$http_boot
dhcp-boot=tag:httparm64,tag:!ipxe,$http_boot_arm64
dhcp-boot=tag:ipxe,$bootstrap
enable-tftp
tftp-root=/usr/lib/ipxe
"""
_ISC = """\
option arch code 93 = unsigned integer 16;
next-server $host;
if exists user-class and option user-class = "iPXE" {
  filename "$bootstrap";
} elsif option arch = 00:10 {
  option vendor-class-identifier "HTTPClient";
  filename "$http_boot";
} elsif option arch = 00:13 {
  option vendor-class-identifier "HTTPClient";
  filename "$http_boot_arm64";
} elsif option arch = 00:00 {
  filename "undionly.kpxe";
} elsif option arch = 00:0b {
  filename "ipxe-arm64.efi";
} else {
  filename "ipxe.efi";
}
"""
_KEA = """\
"client-classes": [
  { "name": "ipxe", "test": "option[77].hex == 'iPXE'",
    "boot-file-name": "$bootstrap" },
  { "name": "bios", "test": "not member('ipxe') and option[93].hex == 0x0000",
    "next-server": "$host", "boot-file-name": "undionly.kpxe" },
  { "name": "efi",
    "test": "not member('ipxe') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)",
    "next-server": "$host", "boot-file-name": "ipxe.efi" },
  { "name": "arm64", "test": "not member('ipxe') and option[93].hex == 0x000b",
    "next-server": "$host", "boot-file-name": "ipxe-arm64.efi" },
  { "name": "http", "test": "not member('ipxe') and option[93].hex == 0x0010",
    "option-data": [{ "name": "vendor-class-identifier", "data": "HTTPClient" }],
    "boot-file-name": "$http_boot" },
  { "name": "httparm64", "test": "not member('ipxe') and option[93].hex == 0x0013",
    "option-data": [{ "name": "vendor-class-identifier", "data": "HTTPClient" }],
    "boot-file-name": "$http_boot_arm64" }
]
"""
_OPNSENSE = """\
Enable network booting             yes
Next-server IP                     $host
Default BIOS filename              undionly.kpxe
x64 UEFI/EBC (64-bit) filename     ipxe.efi
ARM (64-bit) UEFI filename         ipxe-arm64.efi
iPXE boot filename                 $bootstrap
"""
_UNIFI = """\
Network Boot        $host
Boot file           ipxe.efi
"""
_MIKROTIK = """\
/ip dhcp-server option
add name=bty-bios code=67 value="s'undionly.kpxe'"
add name=bty-efi code=67 value="s'ipxe.efi'"
add name=bty-arm64 code=67 value="s'ipxe-arm64.efi'"
add name=bty-ipxe code=67 value="s'$bootstrap'"
/ip dhcp-server option sets
add name=bty-bios options=bty-bios
add name=bty-efi options=bty-efi
add name=bty-arm64 options=bty-arm64
add name=bty-ipxe options=bty-ipxe
/ip dhcp-server matcher
add name=bty-ipxe server=dhcp1 address-pool=pool1 code=77 value=iPXE option-set=bty-ipxe
add name=bty-bios server=dhcp1 address-pool=pool1 code=93 value=0x0000 option-set=bty-bios
add name=bty-efi server=dhcp1 address-pool=pool1 code=93 value=0x0007 option-set=bty-efi
add name=bty-arm64 server=dhcp1 address-pool=pool1 code=93 value=0x000b option-set=bty-arm64
/ip dhcp-server network
set [find] next-server=$host
"""
_IPXE = """\
dhcp
chain $bootstrap
"""
_RECIPES = (
    Recipe("dnsmasq", "dnsmasq.conf", _DNSMASQ, "It serves TFTP itself, with the last two lines."),
    Recipe("ISC dhcpd", "dhcpd.conf", _ISC),
    Recipe("Kea", "kea-dhcp4.conf, in Dhcp4", _KEA),
    Recipe("OPNsense", "Services, ISC DHCPv4, Network booting", _OPNSENSE),
    Recipe(
        "UniFi",
        "Settings, Networks, DHCP service management",
        _UNIFI,
        "It gives one file to every machine, and to iPXE again. For UEFI that is enough: from this"
        " server's TFTP an ipxe.efi of Debian 13 also gets autoexec.ipxe, which leads on."
        " For BIOS machines let proxy DHCP answer beside it, and name no boot file here.",
    ),
    Recipe(
        "MikroTik",
        "RouterOS 7, in a terminal",
        _MIKROTIK,
        "dhcp1 and pool1 stand for the names of your server and its pool.",
    ),
    Recipe("An iPXE prompt, a stick", "for one machine, or to try it out", _IPXE),
)


def sheet(base_url: str) -> Sheet:
    """The sheet of the server that is reached at `base_url`."""
    values = {
        "host": urlsplit(base_url).hostname or "",
        "bootstrap": f"{base_url}/pxe-bootstrap.ipxe",
        "http_boot": f"{base_url}/boot/ipxe.efi",
        "http_boot_arm64": f"{base_url}/boot/ipxe-arm64.efi",
    }
    recipes = (
        Recipe(r.name, r.where, Template(r.text).substitute(values), r.hint) for r in _RECIPES
    )
    return Sheet(**values, recipes=tuple(recipes))


def boot_files(of: Sheet) -> list[tuple[str, str, str, str]]:
    """The rows of `ARCHITECTURES` with the addresses filled in."""
    values = {
        "bootstrap": of.bootstrap,
        "http_boot": of.http_boot,
        "http_boot_arm64": of.http_boot_arm64,
    }
    return [
        (code, about, vendor, Template(file).substitute(values))
        for code, about, vendor, file in ARCHITECTURES
    ]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
