"""From a sampler or images to scores, with floors, checks for leaks and the distance of tasks."""
