"""The recipe `penult train autoencoder`: columns of numbers → noise → bottleneck → the same columns without the
noise."""
