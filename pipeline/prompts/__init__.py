"""Plans prompt files into shards, reads the shards and checks each row."""
