"""The corridor: one object through every room, in order."""

from ocisource.reconcile.corridor import Corridor, Journal, Rooms, Witness

__all__ = ["Corridor", "Journal", "Rooms", "Witness"]
