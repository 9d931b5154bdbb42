"""Files wherever they are, tables of labelled rows, and what failures mean."""
