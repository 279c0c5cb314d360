"""What outlives a call: the store of runs, the queue and its workers, files to take home, the started app."""
