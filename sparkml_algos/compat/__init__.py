"""Other libraries' interfaces over the algorithms of this package."""
