"""The face operations of AWS Rekognition on your own machines, for unmodified AWS SDKs."""

__version__ = "0.1.0"
