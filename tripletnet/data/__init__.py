"""Where images come from: files and data sets in, uint8 RGB arrays out. Knows no MXNet."""
