"""Where a job runs: the local runner, and Beam's engines elsewhere."""
