"""Serves small HTTP apps from a running process: a server in a thread, and who may ask it. It knows no run."""
