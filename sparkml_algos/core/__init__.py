"""The Spark ML side: Params, the way from a DataFrame to arrays, Estimator and Model bases, persistence."""
