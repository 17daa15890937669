"""Networks at work: sessions, detectors, embedders, face details, and the engine they make."""
