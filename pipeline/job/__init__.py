"""The bulk job: one run of Beam from prompts to an output directory."""
