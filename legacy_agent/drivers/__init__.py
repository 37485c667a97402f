"""Agent drivers: each realises its networks of the host plan by one technique."""
