"""Ground that needs no Spark: named arrays, devices, declarations, saved directories."""
