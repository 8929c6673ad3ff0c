"""Values that many answers have, declared once."""

from __future__ import annotations

from bty_app.domain.image_source import IMAGE_REF
from bty_app.domain.machine import BootMode
from bty_app.web.shapes import Nullable, Text, Whole, words_of

MAC = Text("A MAC: six lower-case pairs with colons.", pattern="[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
ANY_MAC = Text("A MAC, in any spelling.", most=64)
REF = Text("What an image is known by: the SHA-256 of its source.", pattern=IMAGE_REF.pattern)
SHA256 = Text("A SHA-256.", pattern="[0-9a-f]{64}")
MOMENT = Text("A moment, ISO 8601 in UTC.")
MAYBE_MOMENT = Nullable(MOMENT)
MAYBE_TEXT = Nullable(Text())
MODE = Text("What the operator wants of the machine.", one_of=words_of(BootMode))
BYTES = Whole("Bytes.")
