"""The face operations of AWS Rekognition on your own machines, for unmodified AWS SDKs."""

import os

__version__ = "0.2.0"

# ONNX Runtime reports its use to its maker unless this is set before it is imported; what it offers for that afterwards
# comes too late. Every import of a module of ours runs this first, so it holds in every process that we start.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
