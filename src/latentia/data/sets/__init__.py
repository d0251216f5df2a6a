"""Named data sets, one file for each kind: images, tables, and distributions in the plane."""
