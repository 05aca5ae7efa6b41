"""XGBoost: gradient boosted trees, with the library of this name doing the arithmetic."""

from importlib.util import find_spec

if find_spec("xgboost") is None:
    raise ModuleNotFoundError(
        "the XGBoost classes need the xgboost library, which is not installed: pip install 'sparkml-algos[xgboost]', GPUs: [xgboost-gpu]",
        name="xgboost",
    )
