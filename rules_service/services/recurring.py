"""Runs what recurs in a thread of the process: a fault of one round is told and the next round comes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Recurring:
    """Calls a function every so many seconds until it is closed."""

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self._seconds = seconds
        self._work = work
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="recurring", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._work()
            except Exception as error:  # noqa: BLE001  the next round must come
                logger.warning("a recurring work failed: %s", type(error).__name__)

    def close(self) -> None:
        """Finish the round that runs, then stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
