"""Shows what the engine knows and listens: HTTP, pages, JSON, the command line.

Imports and compiled definitions are some hundred thousand objects that stay as long as the process; a collector of cycles that looks through them
again every few hundred objects, while they are being made, took an eighth of a start.
"""

import gc

gc.set_threshold(20_000, 20, 20)
