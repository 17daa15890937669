"""Images as pixels: headers, decoding, alignment, crops."""
