"""How workers talk while they train."""
