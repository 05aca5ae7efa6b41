"""XGBoost: gradient boosted trees, with the library of this name doing the arithmetic."""
