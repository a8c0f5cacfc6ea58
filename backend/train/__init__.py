"""Makes the demo model from nothing: generated sums, a tiny Llama, two minutes on one GPU."""
