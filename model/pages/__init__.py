"""Pages and pictures of a model."""
