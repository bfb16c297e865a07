"""The same models in each framework, as a person writes them there.

A file defines `Training(work, x, y)`, for samples x and labels y (int32), with

- `parameters`, the number of trained weights, which must be the workload's;
- `epochs(count)`, which trains so often over all of x, each time in a new order, and returns the mean `loss` and
  `accuracy` on the way of the last time, when all work is done;
- `stream(batches)`, which does so over the pairs that `batches` gives, an object that can be iterated again and again;
- `predict(x)`, which returns the scores as a NumPy array, computed in batches of the workload's size.
"""
