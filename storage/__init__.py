"""What is kept: datasets, splits, model bundles, the views in Redis and the projection that fills them."""
