"""The recipe `penult train bert`: string → preprocessing → BERT → pooled output → dropout → dense."""
