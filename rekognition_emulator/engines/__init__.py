"""Face models: what finds, embeds and describes faces. `models` is the table, `selection` chooses from it."""
