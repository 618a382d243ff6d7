"""What a run tells Prometheus of itself, and Prometheus beside a run on one machine; it imports no Ray."""
