"""From files, arrays, tables and data sets of other libraries to rows."""
