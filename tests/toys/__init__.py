"""Two algorithms that only exercise the machinery, over rows that are no vectors of features."""
