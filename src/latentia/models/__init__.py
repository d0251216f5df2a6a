"""Models, defined by their capabilities (sample, evaluate a density, encode, decode), however they are trained."""
