"""Known truth: a procedural head, rendered sessions and simulated events."""
