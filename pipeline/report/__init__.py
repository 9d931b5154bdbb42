"""The report: figures and pictures of an output on one page."""
