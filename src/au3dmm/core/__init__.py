"""Arrays in, arrays out: no paths, no logging, no configuration objects."""
