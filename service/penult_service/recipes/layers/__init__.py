"""Layers of ours, for Keras 3 and tf_keras."""
