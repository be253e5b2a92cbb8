"""The corridor: one object through every room, in order."""

from ocisource.reconcile.corridor import Corridor, Journal, Rooms
from ocisource.reconcile.verdicts import Witness

__all__ = ["Corridor", "Journal", "Rooms", "Witness"]
