"""The truth: collections, faces and their embeddings in PostgreSQL. What is acknowledged is committed here."""
