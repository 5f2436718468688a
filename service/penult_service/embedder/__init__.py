"""The path of a request: texts in, arrays out. Defines the protocols that tokenizers and engines fulfil."""

from penult_service.embedder.core import Embedder
from penult_service.embedder.dropouts import ActiveDropout, SampleOptions
from penult_service.embedder.given import Given, Records, Tensors, Value
from penult_service.embedder.options import EmbedOptions, choose_readout
from penult_service.embedder.protocols import Engine, LoadedModel, Tokenizer
from penult_service.embedder.results import ClassifyResult, EmbedResult, TokenizeResult
from penult_service.embedder.sampling import SampleResult
from penult_service.tokenizing import CUT, NONE, UNKNOWN, TokenTable

__all__ = [
    "CUT",
    "NONE",
    "UNKNOWN",
    "ActiveDropout",
    "ClassifyResult",
    "EmbedOptions",
    "EmbedResult",
    "Embedder",
    "Engine",
    "Given",
    "LoadedModel",
    "Records",
    "SampleOptions",
    "SampleResult",
    "Tensors",
    "TokenTable",
    "TokenizeResult",
    "Tokenizer",
    "Value",
    "choose_readout",
]
