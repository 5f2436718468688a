"""The recipe `penult train forecaster`: windows of several series → LSTM, with a dropout at a place of choice → the
next steps."""
