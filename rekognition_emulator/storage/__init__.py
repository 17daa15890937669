"""The source of truth: collections, faces and keys in PostgreSQL. What is acknowledged is committed here."""
