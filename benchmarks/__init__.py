"""Speed beside other frameworks: `python -m benchmarks` runs the same work in each and prints the times.

Each framework trains in a process of its own; only one works at a time, and they take turns, so that a slow
minute of the machine falls on all of them. To add a workload, add a row to `workloads.py`, a new model to each file of
`frameworks/` and new data to `data.py`; to add a framework, add a row to `contenders.py` and a file that defines
`Training`.
"""
