"""Which columns a model reads and appends, in the connector's words."""
