"""How hard the property tests try: `default` in every run, `nightly` with --hypothesis-profile=nightly."""

import os

from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile("default")
