"""What shows the server at work without a photograph of anybody."""
