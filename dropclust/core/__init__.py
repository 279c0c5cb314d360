"""The mathematics of the paper: tensors in, tensors out; it knows no page, no file but MNIST's and no cluster."""
