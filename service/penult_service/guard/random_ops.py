"""Random operations that a served model may hold when the operator allows that (`--allow-stochastic`)."""

from __future__ import annotations

RANDOM_OPS = (
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomShuffle"),
    *(
        "StatelessRandomUniform",
        "StatelessRandomUniformV2",
        "StatelessRandomNormal",
        "StatelessRandomNormalV2",
    ),
    *("StatelessTruncatedNormal", "StatelessTruncatedNormalV2"),
    *("StatelessRandomUniformInt", "StatelessRandomUniformIntV2", "StatelessRandomUniformFullIntV2"),
    *("StatelessRandomGetKeyCounter", "StatelessRandomGetAlg", "StatelessRandomGetKeyCounterAlg"),
    *("RngReadAndSkip", "RngSkip", "Bitcast"),
)
"""What dropout and noise layers of Keras 2 and 3 draw with; each takes time and memory for its result, and no more.

`StatelessRandomUniformFullIntV2` and `Bitcast` turn one seed into others. A generator's state is a variable of its own.
"""
