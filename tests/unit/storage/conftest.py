from __future__ import annotations

import pytest

from ocisource.storage.store import FileStore


@pytest.fixture
def store(tmp_path):
    store = FileStore(tmp_path)
    yield store
    store.close()
