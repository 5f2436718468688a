"""Rewrites a model that OpenVINO converted from TensorFlow into the operations that its plugin has fast kernels for.

Nothing here knows an architecture: each file finds one arithmetic form, as Keras and this project write it down, and
puts the operation that computes the same in its place. What has another form stays as it is.
"""

from penult_service.engines.rewriting.rewrite import rewrite

__all__ = ["rewrite"]
