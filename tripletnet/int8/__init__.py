"""An encoder in whole numbers of 8 bits: calibrated, quantised, stored with its run."""
