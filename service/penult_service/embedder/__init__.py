"""The path of a request: texts in, arrays out. Defines the protocols that tokenizers and engines fulfil."""

from penult_service.embedder.core import Embedder
from penult_service.embedder.options import EmbedOptions, choose_readout
from penult_service.embedder.protocols import Engine, LoadedModel, Tokenizer
from penult_service.embedder.results import ClassifyResult, EmbedResult, TokenizeResult
from penult_service.tokenizing import CUT, NONE, UNKNOWN, TokenTable

__all__ = [
    "CUT",
    "NONE",
    "UNKNOWN",
    "ClassifyResult",
    "EmbedOptions",
    "EmbedResult",
    "Embedder",
    "Engine",
    "LoadedModel",
    "TokenTable",
    "TokenizeResult",
    "Tokenizer",
    "choose_readout",
]
