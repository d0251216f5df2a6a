"""Networks: plain functions from tensors to tensors with weights in them."""
