"""What the cluster and the API say, as small records: no I/O, no clock, no network."""
