"""Measures time, memory, energy and FLOPs, and describes the machine."""
