"""The JVM bridge seen from Python: building its jar for a Spark, finding it, using it from a session.

The bridge is optional: everything trains, scores, saves and loads without it.
"""
