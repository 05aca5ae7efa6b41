"""BlazingText: vectors of words, and classes of texts."""
