"""One file per algorithm: its hyperparameters, `train`, `predict`, Estimator and Model."""
