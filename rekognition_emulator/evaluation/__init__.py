"""How good a face model is, measured on labelled pictures: numbers in, numbers out. Prints nothing, knows no server."""
