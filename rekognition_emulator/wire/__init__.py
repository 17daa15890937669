"""AWS JSON 1.1 over one POST: knows HTTP, shapes and errors, nothing of faces. Of ours it imports api.core only."""
