"""The making of the embedded models: simulated markets, their teachers' choices, and the training; torch only here."""
