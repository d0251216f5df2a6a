"""The HTML report of a run: one page with its options, scores, learning curves and figures."""
