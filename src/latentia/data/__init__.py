"""Data: what it is (spec), where it comes from (sources, files), and the order it is read in (rows)."""
