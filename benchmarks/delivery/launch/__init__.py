"""Applications that a benchmark of delivery starts as processes."""
