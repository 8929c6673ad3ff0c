"""What the server keeps for itself among the settings: nobody has set it, and it tells of here and
now alone, so that neither a restore nor a recovery brings an older one back.
"""

from __future__ import annotations

from bty_app.domain.sessions import FINGERPRINT
from bty_app.store.backup_state import HISTORY_KEYS
from bty_app.store.catalog import IMPORTED_DIGEST

OWN_KEYS = frozenset({*HISTORY_KEYS, IMPORTED_DIGEST, FINGERPRINT})
