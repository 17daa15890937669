"""Indexes: what finds the faces most alike. `base` is the interface, `registry` knows the implementations."""
