"""What is estimated of a face beyond its box and landmarks."""
