"""One command that proves a device: `graftbench selftest`. Each look at it runs in a process of its own."""
