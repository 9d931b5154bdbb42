"""Right and wrong variants of the lab's solution, which measure the checks of the exercises.

A wrong one breaks what the exercise's text says and has to be caught, with a hint that leads on. A
right one does it in another way and has to pass. `python -m tests.lab.mutants` runs them all.
"""
