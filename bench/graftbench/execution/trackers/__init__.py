"""Trackers show a run while it lasts: TensorBoard, Weights & Biases, MLflow, or your own. The records do not need them.

A tracker hears of a record when the record is on the disk, and nothing is read back from one. What goes wrong in a
tracker changes neither a record nor an exit code.
"""

from graftbench.execution.trackers.base import Failed as Failed
from graftbench.execution.trackers.base import TrackedCell as TrackedCell
from graftbench.execution.trackers.base import TrackedPoint as TrackedPoint
from graftbench.execution.trackers.base import TrackedResult as TrackedResult
from graftbench.execution.trackers.base import TrackedRun as TrackedRun
from graftbench.execution.trackers.base import Tracker as Tracker
