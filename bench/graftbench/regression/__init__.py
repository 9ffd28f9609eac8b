"""The regression gate: a base and a new run of the same cells, and whether what differs is more than noise.

    from graftbench.regression.options import GateOptions
    from graftbench.regression.gate import compare

    found = compare(records_of_the_base, records_of_the_new, GateOptions())
    found.code  # 0 fine, 1 a regression, 2 nothing was compared, 3 cells that newly fail or are gone

Nothing here imports torch.
"""
