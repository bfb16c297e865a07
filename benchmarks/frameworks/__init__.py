"""The same models in each framework, as a person writes them there.

A file defines `Training(workload, x, y)`, where x is float32 (N, *shape) and y int32 (N,), with `epoch()`, which
trains once over all of x in a new order and returns the epoch's mean `loss` and `accuracy` when all work is done,
and `evaluate(x, y)`, which returns the accuracy. A model that a file lacks is reported, and the framework skipped.
"""
