"""Object2Vec."""
