"""Packages for devices: a graph, what it takes and gives, a signature, and a program that runs it."""
