"""Where a run can be watched: TensorBoard, Weights & Biases, MLflow, or a tracker of one's own. Sinks, never the truth.

A tracker hears of a record when the record is on the disk, and nothing is read back from one. What goes wrong in a
tracker changes neither a record nor an exit code.
"""
