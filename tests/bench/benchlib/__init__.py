"""What the benchmarks of tests/bench have in common: servers side by side, their measurement, and the page made of it."""
