"""A plugin on an empty store for every test."""

from __future__ import annotations

import pytest

from tests.support.store import World, new_world


@pytest.fixture
def world() -> World:
    return new_world()
