"""Runs a student's code in a process that the kernel shuts in, and asks it over a pipe."""
