"""The command line and the Beam pipeline: prompt files in, shards of generated text out."""
