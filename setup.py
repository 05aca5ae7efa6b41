"""Packaging of sparkml-algos."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
SPARK = ["pyspark>=3.5,<5"]
PLOT = ["matplotlib>=3.7"]

setup(
    name="sparkml-algos",
    version=re.search(r'__version__ = "(.+)"', (HERE / "sparkml_algos" / "version.py").read_text())[1],
    description="Amazon SageMaker's built-in algorithms as native Spark ML Estimators and Models",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["sparkml_algos", "sparkml_algos.*"]),
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.24",
        "protobuf>=3.20,<8",
        "pyarrow>=12",
        "scipy>=1.10",
        "torch>=2.4",
        "tqdm>=4.60",
        "xgboost>=2.0",
    ],
    extras_require={
        # Clusters and Connect clients bring their own Spark. pandas 3 is not supported by Spark yet.
        "spark": [*SPARK, "pandas>=2.0,<3"],
        "connect": ["grpcio>=1.59", "grpcio-status>=1.59", "googleapis-common-protos>=1.59", "zstandard>=0.22"],
        "horovod": ["horovod>=0.28"],
        "plot": PLOT,
        "examples": [*SPARK, *PLOT, "pandas>=2.0,<3", "scikit-learn>=1.3"],
        "test": [*PLOT, "pytest>=8", "ruff>=0.9", "scikit-learn>=1.3"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
    ],
)
