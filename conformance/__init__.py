"""Black box: what the face operations of Rekognition answer, asked of any endpoint that claims to be it."""
