"""What the operator tells about itself: log lines and metrics."""

from ocisource.telemetry.logs import about, configure_logging
from ocisource.telemetry.metrics import Metrics

__all__ = ["Metrics", "about", "configure_logging"]
