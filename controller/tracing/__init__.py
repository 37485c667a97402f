"""What would become of a frame: compiled plans executed in memory, from node to node, each step told in words.

Nothing is sent. What is followed is the intended state: what nodes must look like, not what they look like.
"""
