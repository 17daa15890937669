"""What is measured of requests: observations, metrics, traces."""
