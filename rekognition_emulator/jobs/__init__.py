"""Long work as jobs in PostgreSQL: what a job is, where jobs are stored, and what does them."""
