"""With which eyes a registry is seen (flux-compat J13)."""

from __future__ import annotations

from dataclasses import replace

from ocisource.domain.access import Access, Credentials, Repository


def test_access_to_the_registry_as_a_whole_has_the_same_eyes() -> None:
    app = Access(Repository("registry.example.com", "team/app"), credentials=Credentials("user", "secret"))
    other = replace(app, repository=Repository("registry.example.com", "team/other"))

    assert app.to_registry == other.to_registry
    assert app.to_registry.credentials == app.credentials
    assert app.to_registry != replace(app, credentials=None).to_registry
    assert app.to_registry != replace(app, repository=Repository("elsewhere.example.com", "team/app")).to_registry


def test_what_is_printed_of_access_holds_no_secret() -> None:
    shown = repr(Access(Repository("r", "p"), credentials=Credentials("user", "s3cret", "t0ken", "b3arer")))
    assert "user" in shown
    for secret in ("s3cret", "t0ken", "b3arer"):
        assert secret not in shown
