"""Figures: grids of images and plots of arrays and tables, without a run; reports and theory draw with them."""
