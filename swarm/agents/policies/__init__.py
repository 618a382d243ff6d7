"""Scripted policies: how the five temperaments answer what a form asks, one file for each form.

A file has one export named POLICY, which the scripted engine finds (`swarm.llm.engines.scripted.policy`). They see the
text of a prompt and nothing else, and are no language models.
"""
