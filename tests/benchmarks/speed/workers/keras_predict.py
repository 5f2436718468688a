"""The original model's own predict, as people call it: batches of 32, every text padded to its full length."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import side
from numpy.typing import NDArray


class Side(side.Side):
    """Gives the model's outputs, not embeddings: it is there for its speed."""

    def __init__(self, model: str, threads: int) -> None:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import tensorflow as tf
        import tensorflow_text  # noqa: F401
        import tf_keras

        self._constant = tf.constant
        self._model = tf_keras.models.load_model(model, compile=False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The outputs, float32 [n, outputs]."""
        return np.asarray(self._model.predict(self._constant(list(texts)), batch_size=32, verbose=0))
