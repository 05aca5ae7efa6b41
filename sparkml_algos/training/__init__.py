"""Training without Spark: shards of rows, collectives between workers, artifacts, checkpoints."""
