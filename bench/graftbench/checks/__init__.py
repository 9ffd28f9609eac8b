"""The contract of plugins as checks that say in words what is wrong: for the repository's own plugins and anyone's.

`rules` says what a check is. `method`, `domain` and `report` hold the checks of each kind (`CHECKS`, and a `Subject`
that they look at); `graftbench check` runs them in a process of its own (`session`, watched by `supervision`).
"""
