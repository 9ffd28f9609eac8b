"""Results over time: a line a run in a file, the steps and drifts of each series, a page that shows them.

    from graftbench.regression.history.history import read
    from graftbench.regression.history.series import series_of

    for series in series_of(read(folder)):
        series.steps  # where its level changed by more than anybody minds, and between which commits

Nothing here imports torch.
"""
