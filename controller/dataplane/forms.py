"""A sentence that is said very often is understood once: its form is a table's contract kept and bytes with holes.

    @form
    def known(network: int, mac: int, key: int, port_id: str) -> Flow:
        sentence = flow(L2_LOOKUP, 100).match(network=network, eth_dst=mac).set(destination=key)
        return sentence.because(f"port {port_id}").goto(DELIVER)

    known(7, 0xFA163E000001, 99, "p1")

The function is called once with holes for its arguments, when it is declared: a broken contract shows at import. From
then on a flow is its form and its arguments; its bytes are one ``pack``, and its match and actions are what the
sentence says, found out if anybody asks. Arguments that are no numbers (a masked value, say), or that do not fit, the
form does not cover: then the sentence is said in full, with all its checks. So the answer is always what the function
would give.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from controller.dataplane.holes import Hole
from controller.dataplane.templates import body_writer
from controller.dataplane.values import Flow, Form
from controller.errors import CompileError

P = ParamSpec("P")

RESERVED = frozenset({"flow", "match", "actions"})

_MAKE = """
def make({names}):
    try:
        fits = not ({must_be_zero})
    except TypeError:
        fits = False
    if not fits:
        return _say({names})
    made = _new(_Flow)
    own = made.__dict__
    own["form"] = _form
    own["args"] = ({names},)
    return made
"""


def form(sentence: Callable[P, Flow]) -> Callable[P, Flow]:
    """The same function, faster. The sentence must depend on nothing but its arguments, which are numbers (and texts
    for :meth:`FlowBuilder.because`).

    Raises :class:`CompileError` if the flow breaks the contract of its table, or an argument has a name that is taken;
    ``TypeError`` if the shape of the flow depends on an argument (see :mod:`controller.dataplane.holes`).
    """
    names = list(inspect.signature(sentence).parameters)
    if not names or RESERVED.intersection(names) or any(name.startswith("_") for name in names):
        raise CompileError(f"the form {sentence.__name__} has no arguments, or one whose name is taken")
    must_be_zero: dict[str, None] = {}
    said: Callable[..., Flow] = sentence
    pattern = said(*[Hole(name, must_be_zero) for name in names])
    found = Form(pattern.table, pattern.priority, sentence, _writer(pattern, names))
    return wraps(sentence)(_maker(names, list(must_be_zero), found))


def _writer(pattern: Flow, names: list[str]) -> Callable[..., bytes]:
    writer = body_writer(pattern)
    writer.settle(flow=pattern, match=pattern.match, actions=pattern.actions)
    return writer.compile(", ".join(names))


def _maker(names: list[str], must_be_zero: list[str], found: Form) -> Callable[..., Flow]:
    known: dict[str, Any] = {"_say": found.say, "_form": found, "_new": object.__new__, "_Flow": Flow}
    exec(_MAKE.format(names=", ".join(names), must_be_zero=" or ".join(must_be_zero) or "False"), known)
    make: Callable[..., Flow] = known["make"]
    return make
