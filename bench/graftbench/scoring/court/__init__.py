"""The court: every score tried where the truth is known, by sanity checks, planted failures and real generators."""
