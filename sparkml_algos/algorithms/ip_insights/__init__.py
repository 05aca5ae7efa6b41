"""IP Insights."""
