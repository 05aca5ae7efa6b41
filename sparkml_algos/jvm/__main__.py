"""``python -m sparkml_algos.jvm build`` and ``… path``."""

from __future__ import annotations

import argparse
import sys

from sparkml_algos.jvm.jars import JvmBridgeError, build, classpath_jars, default_folder, find_spark


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1, and one line that says why, if there is no jar in the end."""
    parser = argparse.ArgumentParser(prog="python -m sparkml_algos.jvm", description="The jar of the JVM bridge.")
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="compile the jar for a Spark, unless it is up to date, and print its path")
    builder.add_argument("--output", metavar="FOLDER", help=f"where the jar goes; default: {default_folder()}")
    builder.add_argument("--force", action="store_true", help="compile even if the jar is up to date")
    path = commands.add_parser("path", help="print the path of the jar, as --jars and spark.jars take it")
    for command in (builder, path):
        command.add_argument("--spark-home", metavar="FOLDER", help="which Spark; default: SPARK_HOME, else the installed pyspark")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "path":
            print(",".join(classpath_jars(chosen.spark_home)))
            return 0
        spark = find_spark(chosen.spark_home)
        jar, compiled = build(spark, chosen.output, force=chosen.force)
    except JvmBridgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    state = f"compiled for Spark {spark.version} with Scala {spark.scala}" if compiled else "up to date"
    print(f"{jar} ({state})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
