"""Forms: one way each to ask for a decision and to read it, pure, so that a replay reads what was asked."""
