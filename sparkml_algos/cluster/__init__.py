"""Getting N Spark tasks to run as one gang, and to fail as one."""
