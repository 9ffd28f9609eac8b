"""What `graftbench new` writes: a working plugin of each kind, and its test (Jinja; filled in by `graftbench.new`)."""
