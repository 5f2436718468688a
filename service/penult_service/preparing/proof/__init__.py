"""That dropout plays no part: by structure, by experiment, and what Keras itself says."""
