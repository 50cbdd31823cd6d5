"""The loop that trains a network on batches of images."""
