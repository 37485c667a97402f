"""Isthmus: a layer-2 SDN controller for mixed data centres."""
