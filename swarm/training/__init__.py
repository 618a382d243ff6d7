"""How the embedded models are made: simulated markets, their teachers' choices, and the training; torch only here."""
