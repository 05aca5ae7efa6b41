"""Images: bytes to pixels and back, augmentation, and threads that prepare mini-batches ahead of a network. Pillow and NumPy, no torch."""
