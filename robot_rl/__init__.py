"""The learner and the environment: observation → policy → command, and back from executed action to gradient.

Importing this package loads no torch; its modules import what they need.
"""
