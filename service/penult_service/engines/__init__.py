"""What runs a prepared model: one engine a file. `penult_service.embedder.Engine` is what they fulfil."""
