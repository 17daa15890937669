"""AWS JSON 1.1 over one POST: knows HTTP, shapes and errors, nothing of faces. Of the API it imports `core` only."""
