"""Models: each is what it can do (sample, score, encode, decode), whatever it was learned by."""
