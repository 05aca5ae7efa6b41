"""k-nearest neighbours: classifier and regressor."""
