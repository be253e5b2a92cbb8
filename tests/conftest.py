"""What holds for all tests."""

from __future__ import annotations

import signal

HEEDED = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}


def pytest_configure() -> None:
    """Whoever runs the tests may ignore signals (nohup does, and a shell for what it puts in the background), and
    children inherit that: tests that send one would wait in vain."""
    for number, action in HEEDED.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)
