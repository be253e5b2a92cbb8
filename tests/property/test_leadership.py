"""However requests are delayed and lost and processes stand still, at no moment do two lead (flux-compat G9)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.leadership import Candidacy, Record, Terms

TERMS = Terms(duration=35, renew_deadline=30, retry_period=5)


class Server:
    """One Lease, with optimistic locking."""

    def __init__(self) -> None:
        self.version = 0
        self.record: Record | None = None

    def write(self, record: Record, version: int) -> bool:
        if version != self.version:
            return False
        self.version, self.record = version + 1, record
        return True


class Replica:
    """Reads, thinks for a while, writes, and hears of it after a while, or never."""

    def __init__(self, name: str, server: Server, offset: float) -> None:
        self.candidacy = Candidacy(name, TERMS)
        self.server = server
        self.offset = offset
        self.asked: tuple[Record | None, int, float] | None = None
        self.sent: tuple[Record, float, bool] | None = None

    def now(self, time: float) -> float:
        """Its own clock began at another moment."""
        return time + self.offset

    def step(self, time: float, lost: bool) -> None:
        now = self.now(time)
        if self.sent is not None:
            record, began, written = self.sent
            if written and not lost:
                self.candidacy.won(record, began, now)
            self.sent = None
        elif self.asked is not None:
            seen, version, began = self.asked
            self.asked = None
            self.candidacy.see(seen, now)
            claim = self.candidacy.claim(now, f"{self.candidacy.identity} at {now}")
            if claim is not None:
                self.sent = claim, began, self.server.write(claim, version)
        else:
            self.asked = self.server.record, self.server.version, now

    def leads(self, time: float) -> bool:
        return self.candidacy.leads(self.now(time))


steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from((0, 0, 0, 1, 5, 17, 36)), st.integers(0, 9), st.integers(0, 9)),
    min_size=12,
    max_size=60,
)


@settings(max_examples=200)
@given(steps)
def test_at_no_moment_do_two_lead(plan: list[tuple[int, int, int, int]]) -> None:
    """Which replica does its next step after how many seconds; one answer in ten is lost, and one time in ten who
    leads lets go."""
    server, time = Server(), 0.0
    replicas = [Replica(f"replica {number}", server, 1000.0 * number) for number in range(3)]
    for number, pause, lost, released in plan:
        time += pause
        replica = replicas[number]
        if released == 0 and replica.leads(time) and replica.sent is None and replica.asked is None:
            record = replica.candidacy.release("done")
            if record is not None and server.write(record, server.version):
                replica.candidacy.see(record, replica.now(time))
        else:
            replica.step(time, lost == 0)
        assert sum(each.leads(time) for each in replicas) <= 1


@given(st.integers(0, 5))
def test_a_silent_leader_is_followed_within_its_duration(delay: int) -> None:
    server = Server()
    first, second = Replica("first", server, 0), Replica("second", server, 500)
    for _ in range(3):
        first.step(0, lost=False)
    assert first.leads(0)
    second.step(delay, lost=False)
    second.step(delay, lost=False)
    assert not second.leads(delay)
    time = delay + TERMS.duration
    for _ in range(3):
        second.step(time, lost=False)
    assert second.leads(time)
    assert not first.leads(time)
