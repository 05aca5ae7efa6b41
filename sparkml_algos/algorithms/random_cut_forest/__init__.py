"""Random cut forest: anomaly scores from trees of random cuts."""
