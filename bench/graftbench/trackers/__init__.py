"""Where a run can be watched: TensorBoard, Weights & Biases, MLflow, or a tracker of one's own. Sinks, never the truth.

A tracker hears of a record when the record is on the disk, and nothing is read back from one. What goes wrong in a
tracker changes neither a record nor an exit code.
"""

from graftbench.trackers.contract import Cell as Cell
from graftbench.trackers.contract import Failed as Failed
from graftbench.trackers.contract import Group as Group
from graftbench.trackers.contract import Point as Point
from graftbench.trackers.contract import Result as Result
from graftbench.trackers.contract import Tracker as Tracker
