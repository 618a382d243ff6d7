"""Minds that work together: who hears whom, who is asked at which model, and what several answers come to."""
