"""The same models in each framework, as a person writes them there.

A file defines `Training(workload, x, y)`, where x is float32 (N, *shape) and y int32 (N,), with

- `parameters`, the number of trained weights, which must be the workload's;
- `epoch()`, which trains once over all of x in a new order and returns the mean `loss` and `accuracy` on the way,
  when all work is done;
- `evaluate(x, y)`, which returns the accuracy.
"""
