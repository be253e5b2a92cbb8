"""The corridor: one object through every room, in order."""

from ocisource.reconcile.corridor import Corridor, Journal
from ocisource.reconcile.rooms import Identities, Rooms
from ocisource.reconcile.verdicts import Witness

__all__ = ["Corridor", "Identities", "Journal", "Rooms", "Witness"]
