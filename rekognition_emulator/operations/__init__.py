"""AWS's operations in our words: the only package that speaks both languages."""
