"""Fakes that fit the same Protocols as the real rooms and run the same tests (tests/flow, tests/e2e)."""
