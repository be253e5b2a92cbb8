"""How long credentials of a cloud are kept, and for whom (flux-compat G8, J16)."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace

import pytest

from ocisource.clouds.tokens import Asker, Happening, Token, Tokens
from ocisource.domain.access import Credentials
from ocisource.domain.errors import CloudError

ONE = Asker("aws", "eu-central-1", "team", "puller", "arn", "sts.amazonaws.com")


class Cloud:
    """Answers each question with other credentials, which last for `lasts` seconds. Held while `gate` is closed."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lasts = 1000.0
        self.asked = 0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Token:
        self.asked += 1
        answer = Credentials(f"user {self.asked}", "password")
        await self.gate.wait()
        if self.fails:
            raise CloudError("no")
        return Token(answer, self.now + self.lasts)


class Noted(list[Happening]):
    def __call__(self, happening: Happening) -> None:
        self.append(happening)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def tokens(cloud: Cloud, size: int = 100, longest: float = 3600.0, note: Noted | None = None) -> Tokens:
    return Tokens(size, longest, lambda: cloud.now, note if note is not None else Noted())


@pytest.mark.parametrize(
    ("lasts", "longest", "kept"),
    [
        (1000.0, 3600.0, 800.0),  # four fifths of its time
        (1000.0, 300.0, 300.0),  # --token-cache-max-duration
        (43200.0, 3600.0, 3600.0),
        (43200.0, 86400.0, 3600.0),  # an hour at most, as with the original
    ],
)
async def test_credentials_are_kept_while_they_are_good(
    cloud: Cloud, lasts: float, longest: float, kept: float
) -> None:
    cloud.lasts = lasts
    cache = tokens(cloud, longest=longest)
    first = await cache.get(ONE, cloud)

    cloud.now += kept - 1
    assert await cache.get(ONE, cloud) == first
    cloud.now += 1
    assert await cache.get(ONE, cloud) != first
    assert cloud.asked == 2


async def test_credentials_that_are_over_already_are_not_kept(cloud: Cloud) -> None:
    cloud.lasts = -10
    cache = tokens(cloud)

    assert await cache.get(ONE, cloud) != await cache.get(ONE, cloud)


@pytest.mark.parametrize("field", [field.name for field in fields(Asker)])
async def test_askers_that_differ_in_anything_share_nothing(cloud: Cloud, field: str) -> None:
    """J16"""
    cache = tokens(cloud)
    first = await cache.get(ONE, cloud)

    assert await cache.get(replace(ONE, **{field: "another"}), cloud) != first
    assert await cache.get(ONE, cloud) == first


async def test_the_one_that_was_not_used_for_longest_makes_room(cloud: Cloud) -> None:
    """--token-cache-max-size"""
    noted = Noted()
    cache = tokens(cloud, size=2, note=noted)
    a, b, c = (replace(ONE, account=name) for name in "abc")
    first = [await cache.get(one, cloud) for one in (a, b)]
    await cache.get(a, cloud)
    await cache.get(c, cloud)

    assert len(cache) == 2
    assert await cache.get(a, cloud) == first[0]
    assert await cache.get(b, cloud) != first[1]
    assert noted.count("eviction") == 2


async def test_a_size_of_zero_keeps_none(cloud: Cloud) -> None:
    cache = tokens(cloud, size=0)

    assert await cache.get(ONE, cloud) != await cache.get(ONE, cloud)
    assert len(cache) == 0


async def test_who_asks_at_once_asks_once(cloud: Cloud) -> None:
    noted = Noted()
    cache = tokens(cloud, note=noted)
    cloud.gate.clear()
    askers = [asyncio.create_task(cache.get(ONE, cloud)) for _ in range(5)]
    while not cloud.asked:
        await asyncio.sleep(0)
    cloud.gate.set()

    assert len(set(await asyncio.gather(*askers))) == 1
    assert cloud.asked == 1
    assert await cache.get(ONE, cloud)
    assert noted == ["miss", "success", "hit"]


async def test_what_a_cloud_refuses_everybody_hears_and_nobody_keeps(cloud: Cloud) -> None:
    noted = Noted()
    cache = tokens(cloud, note=noted)
    cloud.fails = True
    heard = await asyncio.gather(*(cache.get(ONE, cloud) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in heard] == ["no"] * 3
    assert cloud.asked == 1

    cloud.fails = False
    assert await cache.get(ONE, cloud) == Credentials("user 2", "password")
    assert noted == ["miss", "failure", "miss", "success"]


async def test_an_answer_that_comes_too_late_for_a_pass_serves_the_next_one(cloud: Cloud) -> None:
    """A library cannot be interrupted: to ask again would only hold a second thread."""
    cache = tokens(cloud)
    cloud.gate.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cache.get(ONE, cloud), 0.01)
    waiting = asyncio.create_task(cache.get(ONE, cloud))
    await asyncio.sleep(0)
    cloud.gate.set()

    assert await waiting == Credentials("user 1", "password")
    assert await cache.get(ONE, cloud) == Credentials("user 1", "password")
    assert cloud.asked == 1


async def test_nobody_is_waited_for_at_the_end(cloud: Cloud) -> None:
    cache = tokens(cloud)
    cloud.gate.clear()
    waiting = asyncio.create_task(cache.get(ONE, cloud))
    while not cloud.asked:
        await asyncio.sleep(0)
    await cache.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_nothing_that_is_secret_is_shown() -> None:
    shown = repr((replace(ONE, proxy="http://user:hunter2@proxy"), Token(Credentials("user", "hunter2"), 0)))
    assert "hunter2" not in shown
