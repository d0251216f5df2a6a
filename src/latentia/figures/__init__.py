"""Figures: grids of images, and plots of arrays and tables; `latentia.report` and `latentia.theory` draw with them."""
