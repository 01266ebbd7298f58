"""The signals that end `manage.py up`."""

from __future__ import annotations

import signal


class Stopped:
    """Signals that end `up`: the first asks, the second insists. Call the instance to learn whether one came."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # under nohup
                signal.signal(number, self._note)

    def _note(self, *_args: object) -> None:
        self.count += 1

    def __call__(self) -> bool:
        return self.count > 0

    def insists(self) -> bool:
        return self.count > 1
