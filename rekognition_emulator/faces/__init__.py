"""The ground floor: faces, collections and searches in our own words, without HTTP, AWS, SQL or a neural network."""
