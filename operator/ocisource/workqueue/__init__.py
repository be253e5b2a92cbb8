"""Which object is worked on next."""

from ocisource.workqueue.contract import Key, Meter, Queue, QueueStats, Result
from ocisource.workqueue.queue import WorkQueue

__all__ = ["Key", "Meter", "Queue", "QueueStats", "Result", "WorkQueue"]
