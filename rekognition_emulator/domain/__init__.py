"""Faces, collections, users and what is measured of them: plain values, without HTTP, AWS, SQL or a network."""
