"""Moving a collection to another face model: its state, the work, and where both are stored."""
