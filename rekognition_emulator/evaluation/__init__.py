"""How good a face model is, measured on labelled images: numbers in, numbers out. Prints nothing, knows no server."""
