"""Plays one run: the round loop, its ports, its journal and what is made of it. It knows no Ray."""
