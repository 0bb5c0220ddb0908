"""Align a language model to the values in documents, and show how far it follows them."""
