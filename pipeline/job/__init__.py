"""The bulk job: one run of Beam that turns prompts into an output directory."""
