"""Training against the same XGBoost call by hand. Being built: nothing here measures anything yet."""
