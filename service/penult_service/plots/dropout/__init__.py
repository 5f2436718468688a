"""What dropout does, as pictures, a page and Markdown."""
