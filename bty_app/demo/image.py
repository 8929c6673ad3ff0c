"""An image small enough for a demonstration: a boot sector that says that it was booted."""

from __future__ import annotations

SAYS = "This disk was flashed by bty, and boots."
SECTOR = 512
IMAGE_BYTES = 8 * 2**20

# 16-bit code: print the text behind it on the first serial port (0x3f8), then switch QEMU off by
# its power management port (0x604):
#   xor ax,ax; mov ds,ax; mov si,text; cld
#   next: lodsb; test al,al; jz off; mov ah,al
#   wait: mov dx,0x3fd; in al,dx; test al,0x20; jz wait; mov dl,0xf8; mov al,ah; out dx,al; jmp next
#   off:  mov dx,0x604; mov ax,0x2000; out dx,ax; hlt
_CODE = bytes.fromhex(
    "31c08ed8be297cfcac84c0741288c3bafd03eca82074f8baf80388d8eeebe9ba0406b80020eff4ebfd"
)


def image() -> bytes:
    """The image: the boot sector, and enough behind it that a flash can be watched."""
    program = _CODE + f"\r\n{SAYS}\r\n".encode() + b"\0"
    sector = program.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    line = b"bty demo image, line %09d\n"
    lines = b"".join(line % number for number in range(IMAGE_BYTES // 34))
    return (sector + lines)[:IMAGE_BYTES].ljust(IMAGE_BYTES, b"\0")
