"""`penult.toml`: what a person says of a model, read with its lines, and applied."""
