"""Clients that do what clients must not: a corpus and a seeded generator of broken requests."""
