"""Programs for whoever works on this project; the product needs none of them."""
