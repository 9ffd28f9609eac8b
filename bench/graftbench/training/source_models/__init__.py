"""Source models that come with the package: safetensors, each with its provenance as JSON."""
