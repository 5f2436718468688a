"""`DatasetService`: sets of embeddings that last."""
