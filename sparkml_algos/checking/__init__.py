"""Inspecting an environment and a session item by item, before a training has to find out."""
