"""Data: what it is (spec), where it comes from (read, image_sets, table_sets, toy), its order (rows, batches)."""
