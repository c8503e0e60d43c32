"""One stage per file: READS, WRITES, VERSION and run(), which reads named files and writes named files."""
