"""Networks: modules from tensors to tensors, which know nothing of distributions and losses."""
