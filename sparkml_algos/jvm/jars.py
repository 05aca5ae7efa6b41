"""Building the jar of the JVM bridge for a Spark, and finding it again.

Spark brings a Scala compiler along for its shell, so a Java runtime and Spark's own ``jars`` folder are all it takes. This module imports
nothing but the standard library: setup.py uses it before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparkml_algos.version import __version__

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1] / "jvm-bridge"

#: Where jars are built to and looked for besides the package's own folder; overrides the default.
JARS_VARIABLE = "SPARKML_ALGOS_JARS"

BUILD_COMMAND = "python -m sparkml_algos.jvm build"

# Entries of the jar's manifest.
_SOURCES_HASH, _COMPILER_SPARK = "Sources-Hash", "Compiled-For-Spark"
# A line of a manifest has at most 72 bytes.
_HASH_DIGITS = 40
_MANIFEST = "META-INF/MANIFEST.MF"
# The earliest date a zip entry can have, so that equal classes make equal jars.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LINES_OF_ERROR = 40


class JvmBridgeError(RuntimeError):
    """The jar of the JVM bridge cannot be built, or there is none."""


class NoJarError(JvmBridgeError):
    """There is no jar for a Spark, not even one from other sources."""


@dataclass(frozen=True)
class SparkHome:
    """An installed Spark.

    Attributes
    ----------
    path : Path
        The folder with ``jars``.
    version : str
        Of Spark, ``4.3.0``.
    scala : str
        Binary version of its Scala, ``2.13``.
    """

    path: Path
    version: str
    scala: str

    @property
    def jars(self) -> Path:
        return self.path / "jars"

    @property
    def minor(self) -> str:
        """``4.3``: within it, jars serve every patch version."""
        return ".".join(self.version.split(".")[:2])

    @property
    def jar_name(self) -> str:
        """The bridge's jar for this Spark and this version of the package."""
        return f"sparkml-algos_{self.scala}-spark{self.minor}-{__version__}.jar"


def find_spark(home: str | Path | None = None) -> SparkHome:
    """The Spark to build for: `home`, else what ``SPARK_HOME`` names, else the installed pyspark.

    Parameters
    ----------
    home : str or Path, optional

    Raises
    ------
    JvmBridgeError
        If there is none, or it has no ``jars`` folder with Spark in it.
    """
    named = home or os.environ.get("SPARK_HOME")
    if not named:
        spec = importlib.util.find_spec("pyspark")
        if spec is None or not spec.origin:
            raise JvmBridgeError("no Spark found: install pyspark, set SPARK_HOME, or name one with --spark-home")
        named = Path(spec.origin).parent
    path = Path(named)
    matches = [re.fullmatch(r"spark-core_(\d+\.\d+)-(\d+\.\d+.*)\.jar", jar.name) for jar in path.glob("jars/spark-core_*.jar")]
    found = next(filter(None, matches), None)
    if found is None:
        raise JvmBridgeError(f"{path} is not a Spark: it has no jars/spark-core_*.jar; set SPARK_HOME or name one with --spark-home")
    return SparkHome(path, version=found[2], scala=found[1])


def build(spark: SparkHome | None = None, output: str | Path | None = None, *, force: bool = False) -> tuple[Path, bool]:
    """Compile the bridge into a jar; one that was made from the same sources stays.

    Parameters
    ----------
    spark : SparkHome, optional
        The Spark to build for; default `find_spark`.
    output : str or Path, optional
        The folder for the jar; default ``SPARKML_ALGOS_JARS``, else ``jvm-bridge/target`` of a checkout, else a folder in the user's cache.
        What is built in a checkout by default is put into the user's cache as well, for packages that were installed from it.
    force : bool, default False
        Compile even if there is an up-to-date jar.

    Returns
    -------
    (Path, bool)
        The jar, and whether it had to be compiled.

    Raises
    ------
    JvmBridgeError
        If there is no Java, no Spark, no Scala compiler in Spark, or the compiler reports errors.
    """
    spark = spark or find_spark()
    jar = Path(output or default_folder()) / spark.jar_name
    compiled = force or not (jar.exists() and is_current(jar, spark))
    if compiled:
        with _replacing(jar) as packed:
            classes = packed.parent / "classes"
            classes.mkdir()
            _compile(spark, classes)
            _pack(spark, classes, packed)
    if jar.parent == CHECKOUT / "target":
        _share(jar, spark)
    return jar, compiled


def _share(jar: Path, spark: SparkHome) -> None:
    """Put a copy into the user's cache, unless it is there or nothing can be written there."""
    copy = user_cache() / jar.name
    if copy.exists() and is_current(copy, spark):
        return
    try:
        with _replacing(copy) as packed:
            shutil.copyfile(jar, packed)
    except OSError as error:
        print(f"{copy} could not be written ({error}): packages that are installed elsewhere do without this jar")


@contextmanager
def _replacing(jar: Path) -> Iterator[Path]:
    """Where a jar is made that takes the place of `jar` in the end, all at once."""
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sparkml-algos-", dir=jar.parent) as folder:
        made = Path(folder) / jar.name
        yield made
        os.replace(made, jar)


def classpath_jars(home: str | Path | None = None) -> list[str]:
    """Paths of the jars that put the bridge into a session of the installed Spark, for ``spark.jars`` or ``--jars``.

    Nothing is built here.

    Parameters
    ----------
    home : str or Path, optional
        Another Spark than the one of ``SPARK_HOME`` or the installed pyspark.

    Returns
    -------
    list of str

    Raises
    ------
    JvmBridgeError
        If there is no jar for this Spark, with the command that builds it, or only one from other sources.

    Examples
    --------
    >>> import sparkml_algos
    >>> SparkSession.builder.config("spark.jars", ",".join(sparkml_algos.classpath_jars())).getOrCreate()  # doctest: +SKIP
    """
    return [str(find_jar(find_spark(home), f"{BUILD_COMMAND} --spark-home {home}" if home else BUILD_COMMAND))]


def find_jar(spark: SparkHome, command: str = BUILD_COMMAND) -> Path:
    """The jar for a Spark, of which only the versions matter, from the sources of this package.

    Raises
    ------
    NoJarError
        If there is none, with the `command` that builds it.
    JvmBridgeError
        If there is only one from other sources.
    """
    folders = dict.fromkeys([default_folder(), PACKAGE / "built", *([] if os.environ.get(JARS_VARIABLE) else [user_cache()])])
    found = [folder / spark.jar_name for folder in folders if (folder / spark.jar_name).exists()]
    current = next((jar for jar in found if is_current(jar, spark)), None)
    if current:
        return current
    if found:
        # There the command would build from the checkout's sources once more.
        where = "" if CHECKOUT.is_dir() else ", where the current folder is no checkout of this package"
        raise JvmBridgeError(f"{found[0]} was built from other sources than this package has; build it anew{where}: {command}")
    searched = f"no {spark.jar_name} in {' or '.join(map(str, folders))}"
    raise NoJarError(f"the JVM bridge is not built for Spark {spark.minor} with Scala {spark.scala} ({searched}); build it: {command}")


def built_before(folder: Path) -> list[Path]:
    """Jars in a folder for whatever Spark, of this version of the package and from its sources, in alphabetical order.

    Parameters
    ----------
    folder : Path
        It need not exist.

    Returns
    -------
    list of Path
    """
    found = []
    for jar in sorted(folder.glob("*.jar")):
        named = re.fullmatch(rf"sparkml-algos_(\d+\.\d+)-spark(\d+\.\d+)-{re.escape(__version__)}\.jar", jar.name)
        if named and is_current(jar, SparkHome(folder, version=named[2], scala=named[1])):
            found.append(jar)
    return found


def default_folder() -> Path:
    """Where jars go that nobody names a folder for."""
    if os.environ.get(JARS_VARIABLE):
        return Path(os.environ[JARS_VARIABLE])
    return CHECKOUT / "target" if CHECKOUT.is_dir() else user_cache()


def user_cache() -> Path:
    """Where a package that was installed has its jars."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkml-algos"


def is_current(jar: Path, spark: SparkHome) -> bool:
    """Whether a jar was made from the sources of this package."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read(_MANIFEST).decode()
    except (KeyError, zipfile.BadZipFile):
        return False
    return f"{_SOURCES_HASH}: {_sources_hash(spark)}" in manifest.splitlines()


def sources(spark: SparkHome) -> Iterator[tuple[str, Path]]:
    """Name and path of every file the jar is made from: ``….scala``, and resources by the name they have in the jar."""
    main = next(filter(Path.is_dir, (PACKAGE / "src" / "main", CHECKOUT / "src" / "main")), None)
    if main is None:
        raise JvmBridgeError(f"the Scala sources are missing: neither {PACKAGE / 'src'} nor {CHECKOUT / 'src'} exists")
    # What only one Spark or one Scala understands stands beside what all do.
    for folder in ("scala", f"scala-{spark.scala}", f"scala-spark{spark.version.split('.')[0]}"):
        for path in sorted((main / folder).rglob("*.scala")):
            yield path.relative_to(main).as_posix(), path
    for path in sorted((main / "resources").rglob("*")):
        if path.is_file():
            yield path.relative_to(main / "resources").as_posix(), path


def _sources_hash(spark: SparkHome) -> str:
    digest = hashlib.sha256()
    for name, path in sources(spark):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_HASH_DIGITS]


def _compile(spark: SparkHome, classes: Path) -> None:
    if not list(spark.jars.glob("scala-compiler*.jar")):
        raise JvmBridgeError(f"{spark.jars} has no scala-compiler jar; name a complete Spark {spark.minor}, or pyspark, to build with")
    # A Spark without Hadoop names Hadoop's jars here.
    classpath = os.pathsep.join(filter(None, [str(spark.jars / "*"), os.environ.get("SPARK_DIST_CLASSPATH")]))
    arguments = ["-usejavacp", "-nobootcp", "-deprecation", "-feature", "-unchecked", "-encoding", "UTF-8", "-d", str(classes)]
    files = [str(path) for name, path in sources(spark) if name.endswith(".scala")]
    done = subprocess.run(
        [_java(), "-Xss8m", "-XX:+UseSerialGC", "-cp", classpath, "scala.tools.nsc.Main", *arguments, *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_LINES_OF_ERROR:])
        raise JvmBridgeError(f"compiling the JVM bridge for Spark {spark.version} with Scala {spark.scala} failed:\n{said}")
    if done.stdout.strip():
        print(done.stdout.strip())


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "java is not on PATH"
        remedy = "install a Java runtime that this Spark runs on, or set JAVA_HOME; python -m sparkml_algos.check says more"
        raise JvmBridgeError(f"no Java: {where}; {remedy}")
    return java


def _pack(spark: SparkHome, classes: Path, jar: Path) -> None:
    manifest = {
        "Manifest-Version": "1.0",
        "Implementation-Title": "sparkml-algos JVM bridge",
        "Implementation-Version": __version__,
        _COMPILER_SPARK: f"{spark.version} Scala {spark.scala}",
        _SOURCES_HASH: _sources_hash(spark),
    }
    text = "".join(f"{key}: {value}\r\n" for key, value in manifest.items()) + "\r\n"
    compiled = [(path.relative_to(classes).as_posix(), path) for path in sorted(classes.rglob("*.class"))]
    resources = [(name, path) for name, path in sources(spark) if not name.endswith(".scala")]
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, _MANIFEST, text.encode())
        for name, path in compiled + resources:
            _add(archive, name, path.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, content)
