"""The pure market: integers in, integers out, no clock, no chance, no network, no Ray."""
