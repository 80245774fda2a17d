"""A cluster of 1,000 nodes, simulated by events: where one gateway ends, which balancing helps, what a loss costs."""
