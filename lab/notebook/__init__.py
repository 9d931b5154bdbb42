"""What the notebooks call, and how they are made: `python -m lab.notebook`."""
