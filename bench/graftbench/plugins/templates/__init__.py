"""Templates of the plugins, and of their tests, that `graftbench new` writes (Jinja)."""
