"""One program at a time makes or removes backups of a directory: the next waits for its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bty_app.domain.jobs import Step, Teller
from bty_app.errors import ConflictError, StorageError
from bty_app.store.backup_shelf import Shelf

EVERY_SECONDS = 0.25


@contextmanager
def alone_in_turn(
    shelf: Shelf,
    seconds: float,
    about: Callable[[], str],
    teller: Teller,
    untaken: Callable[[StorageError], None],
) -> Iterator[None]:
    """Have the shelf alone; who has it is waited for so long, and `about` says what that is.
    `untaken` hears of a directory that cannot be used.

    Raises:
        ConflictError: it is still not free.
        CancelledError: the teller does not want to wait any more.
        StorageError: the directory cannot be written.
    """
    with ExitStack() as stack:
        for left in range(int(seconds / EVERY_SECONDS), -1, -1):
            try:
                stack.enter_context(shelf.alone())
                break
            except ConflictError:
                if not left:
                    raise
            except StorageError as error:
                untaken(error)
                raise
            who = ", ".join(shelf.holders())
            words = (
                f"waiting for {about() or 'another act on backups'}{f', by {who}' if who else ''}"
            )
            teller.tell(Step(words))
            teller.wait(EVERY_SECONDS)
        yield
