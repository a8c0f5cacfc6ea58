"""Where verdicts are pinned, and who votes on what at the moment."""
