"""Batch inference on folders of files, by the executors of a session."""
