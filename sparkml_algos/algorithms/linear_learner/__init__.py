"""Linear learner: regression and classification by many linear models trained side by side."""
