"""The steps of a long command, told one by one: `[2/6] …`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Steps:
    """The steps by their words, in their order; each `next` tells one."""

    say: Callable[[str], None]
    words: Sequence[str]
    _done: int = field(default=0, init=False)

    def next(self) -> None:
        """Tell the step that begins."""
        words = self.words[self._done]
        self._done += 1
        self.say(f"[{self._done}/{len(self.words)}] {words}")
