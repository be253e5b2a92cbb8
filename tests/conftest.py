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


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """What is packed says when: every process of a run would call the test by another name."""
    return argname if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None
