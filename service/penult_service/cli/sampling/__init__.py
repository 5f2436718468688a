"""The commands that put dropout back: `penult uncertainty`, `penult dropout`, and what `penult embed` needs of them."""
