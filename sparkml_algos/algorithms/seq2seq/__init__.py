"""Translation of sequences into others."""
