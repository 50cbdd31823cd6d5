"""What turns images into codes."""
