"""AWS's words: the types, enums, errors and handler table of the service."""
