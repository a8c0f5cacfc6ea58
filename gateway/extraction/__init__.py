"""Answers that take long to read, read in a process of their own."""
