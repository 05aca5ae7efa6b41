"""Spark data sources in Python, for sessions without the JVM bridge."""
