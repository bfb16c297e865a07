"""Training: the step, the compiled loop, callbacks, progress."""
