"""Latent Dirichlet allocation by moments, and a few passes of expectation maximisation."""
