"""Texts to token ids, as the model was trained with: one tokenizer a file, and the table that they fill."""

from penult_service.tokenizing.table import CUT, NONE, UNKNOWN, TokenTable, cells_read, token_lengths

__all__ = ["CUT", "NONE", "UNKNOWN", "TokenTable", "cells_read", "token_lengths"]
