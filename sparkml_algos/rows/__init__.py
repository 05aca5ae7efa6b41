"""Rows as arrays: decoding, batches, a worker's shard."""
