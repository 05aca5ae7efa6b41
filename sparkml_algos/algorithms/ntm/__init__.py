"""The neural topic model: a variational autoencoder of counts of words."""
