"""Retention: faces of a collection go when they are older than the operator wants them kept."""
