"""The paper, a file an experiment: which networks it needs, what it measures in them, what it claims."""
