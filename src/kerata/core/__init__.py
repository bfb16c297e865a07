"""Variables, symbolic tensors, the `op` decorator, state lifting, scopes, seeds, dtypes and the class registry."""
