"""Every form of the pipeline gives what its sentence gives, whatever the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature, unwrap
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane.values import Flow
from controller.errors import IsthmusError
from mechanisms.openflow import arp_responder, classify, deliver, flood, l2_lookup, learn, port_security

MODULES = (classify, port_security, learn, arp_responder, l2_lookup, flood, deliver)
TEXTS = ("port_id", "network_id", "segment")
WIDTHS = (0, 1, 3, 12, 16, 20, 24, 32, 36, 48, 64, 128)

numbers = st.one_of(
    st.sampled_from(WIDTHS).flatmap(lambda width: st.integers(0, (1 << width) - 1)),
    st.sampled_from(WIDTHS).map(lambda width: 1 << width),
    st.just(-1),
)


def forms_in(value: object) -> Iterator[Callable[..., Flow]]:
    if isinstance(value, (tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from forms_in(item)
    elif isinstance(value, FunctionType) and unwrap(value) is not value:
        yield value


def all_forms() -> Iterator[Any]:
    for module in MODULES:
        for name, value in vars(module).items():
            for number, found in enumerate(forms_in(value)):
                yield pytest.param(found, id=f"{module.__name__.rpartition('.')[2]}.{name}.{number}")


FORMS = list(all_forms())


def test_all_forms_are_looked_at() -> None:
    assert len(FORMS) == 5 + 9 + 1 + 4 + 4 + 1 + 1 + 1


def outcome(make: Callable[..., Flow], arguments: list[Any]) -> tuple[object, ...]:
    try:
        made = make(*arguments)
        return made.body(), made.cookie, made, made.why, made.key
    except IsthmusError as error:
        return type(error), str(error)


@pytest.mark.parametrize("made", FORMS)
@given(data=st.data())
def test_a_form_gives_what_its_sentence_gives(made: Callable[..., Flow], data: st.DataObject) -> None:
    names = signature(made).parameters
    arguments = [name if name in TEXTS else data.draw(numbers) for name in names]
    assert outcome(made, arguments) == outcome(unwrap(made), arguments)
