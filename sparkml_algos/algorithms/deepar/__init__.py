"""DeepAR: forecasts of many series by one recurrent network; no Spark but in `estimator` and `long_form`."""
