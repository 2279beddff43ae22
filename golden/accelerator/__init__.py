"""The golden model of the accelerator: what its units do, and when, without hardware."""
