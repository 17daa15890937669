"""What is known of face models: catalogue, curves, licences, weights and how they are fetched. Runs none of them."""
