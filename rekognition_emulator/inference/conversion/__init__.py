"""Networks of other formats as ONNX: a writer, and readers of OpenVINO's and TensorFlow Lite's files."""
