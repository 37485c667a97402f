"""Decisions by oslo.policy: :class:`Policy` holds the rules, a :class:`Judge` answers for one caller.

Answers are remembered by who asks and by what a rule looks at in its target, so that a list of ten thousand ports
costs a few evaluations and not ten thousand, and the next request none. A network is only asked for by a rule that
comes to it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from neutron_lib.exceptions import NotAuthorized
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from controller.api.policy_rules import RULES
from controller.errors import ConfigurationError
from controller.plugin.context import RequestContext
from controller.plugin.sharing import EXTERNAL_HERE

LOG = logging.getLogger(__name__)

RELOAD_INTERVAL = 1.0
"""Seconds between looks at the policy file: a change of it counts without a restart."""

KEYS = re.compile(r"%\(([^)]+)\)s")
LARGEST_MEMORY = 10_000

FindNetwork = Callable[[str], Mapping[str, Any] | None]


UNASKED: Any = object()
MISSING = "-"
"""In the place of an attribute that a target does not have itself, within a question."""


class _InDoubtError(Exception):
    """A rule has come to where it must know the target's network."""


def _nobody_knows(network_id: str) -> NoReturn:
    raise _InDoubtError(network_id)


class PolicyNotAuthorized(NotAuthorized):  # type: ignore[misc]
    """403: the rules do not let the caller do this."""

    message = "%(rule)s is disallowed by policy"


@oslo_policy.register("field")
class FieldCheck(oslo_policy.Check):
    """``field:networks:shared=True`` or ``field:port:device_owner=~^network:``: what the target itself says."""

    def __init__(self, kind: str, match: str) -> None:
        super().__init__(kind, match)
        _, _, rest = match.partition(":")
        self.field, _, self._wanted = rest.partition("=")
        pattern = self._wanted.removeprefix("~")
        self._pattern = re.compile(pattern) if pattern != self._wanted else None

    def __call__(
        self,
        target: Any,
        creds: MutableMapping[str, Any],  # noqa: ARG002
        enforcer: Any,  # noqa: ARG002
        current_rule: str | None = None,  # noqa: ARG002
    ) -> bool:
        value = target.get(self.field)
        if value is None:
            return False
        if self._pattern is not None:
            return self._pattern.match(str(value)) is not None
        return str(value) == self._wanted


class Target(dict[str, Any]):
    """What is asked about: its attributes, and where a rule wants them those of its network
    (``network:project_id``)."""

    def __init__(self, attributes: Mapping[str, Any], find_network: FindNetwork) -> None:
        super().__init__(attributes)
        if "project_id" in self:
            self["tenant_id"] = self["project_id"]
        if EXTERNAL_HERE in self:
            self["router:external"] = self[EXTERNAL_HERE]
        self._find_network = find_network

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For a while without a network to be asked for."""
        found, self._find_network = self._find_network, _nobody_knows
        try:
            yield
        finally:
            self._find_network = found

    def own(self, key: str) -> Any:
        """An attribute that it has itself."""
        return _hashable(super().get(key, MISSING))

    def __missing__(self, key: str) -> Any:
        owner, _, name = key.partition(":")
        if owner not in ("network", "ext_parent") or not self.get("network_id"):
            raise KeyError(key)
        network = self._find_network(str(self["network_id"]))
        if network is None:
            raise KeyError(key)
        return network["project_id" if name == "tenant_id" else name]

    def get(self, key: str, default: Any = None) -> Any:
        """As of a dictionary; ``shared`` of something on a network is its network's."""
        if key in self:
            return super().__getitem__(key)
        try:
            return self[f"network:{key}"] if key == "shared" else self[key]
        except KeyError:
            return default


@cache
def _defaults() -> dict[str, oslo_policy.RuleDefault]:
    return {name: oslo_policy.RuleDefault(name, check) for name, check in RULES.items()}


class Policy:
    """The rules of the configuration: ours, and over them the file ``[oslo_policy] policy_file`` if it exists."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = oslo_policy.Enforcer(conf)
        self._enforcer.suppress_deprecation_warnings = True
        # Registering copies every rule deeply, for deprecations that we do not have; parsed once, they are shared.
        self._enforcer.registered_rules.update(_defaults())
        self._lock = threading.Lock()
        self._keys: dict[str, frozenset[str] | None] = {}
        self._names: dict[str, list[str]] = {}
        self.memory: dict[tuple[Any, ...], Any] = {}
        """True or False, which depend on nothing but the question; None: it depends on the network too."""
        self._loaded, self._trouble = time.monotonic(), ""
        try:
            self._enforcer.load_rules()
        except Exception as error:  # YAML's own errors, oslo's, the operating system's
            raise ConfigurationError(f"[oslo_policy] policy_file cannot be used: {error}") from error

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._loaded < RELOAD_INTERVAL:
            return
        with self._lock:
            self._loaded = now
            before = self._enforcer.rules
            trouble = ""
            try:
                self._enforcer.load_rules()
            except Exception as error:
                trouble = str(error)
            if trouble not in ("", self._trouble):
                LOG.error("[oslo_policy] policy_file cannot be used, the rules stay as they were: %s", trouble)
            self._trouble = trouble
            if self._enforcer.rules is not before:
                self._keys, self._names, self.memory = {}, {}, {}

    def judge(self, context: RequestContext, find_network: FindNetwork = lambda _: None) -> Judge:
        """Who answers for a caller, for one request."""
        self._reload()
        return Judge(self, context, find_network)

    def is_admin(self, credentials: Mapping[str, Any]) -> bool:
        """Whether the rules make somebody an administrator."""
        self._reload()
        return self.passes("context_is_admin", {}, dict(credentials))

    def sees_all(self, credentials: Mapping[str, Any]) -> bool:
        """Whether somebody is a service, which may know of every project's resources."""
        mine = dict(credentials)
        return self.passes("service_api", {}, mine) or self.passes("context_is_advsvc", {}, mine)

    def has(self, rule: str) -> bool:
        """Whether there is such a rule."""
        return rule in self._enforcer.rules

    def names(self, prefix: str) -> list[str]:
        """The names of rules that begin so."""
        if prefix not in self._names:
            self._names[prefix] = [name for name in self._enforcer.rules if name.startswith(prefix)]
        return self._names[prefix]

    def passes(self, rule: str, target: MutableMapping[str, Any], credentials: dict[str, Any]) -> bool:
        """Evaluate a rule; one that does not exist is the rule ``default``."""
        rules = self._enforcer.rules
        check = rules[rule] if rule in rules else rules["default"]
        return bool(check(target, credentials, self._enforcer, rule))

    def looks_at(self, rule: str) -> frozenset[str] | None:
        """The attributes of the target that decide a rule; None when that cannot be told."""
        if rule not in self._keys:
            rules = self._enforcer.rules
            self._keys[rule] = _keys(rules[rule] if rule in rules else rules["default"], rules, frozenset({rule}))
        return self._keys[rule]


class Judge:
    """Answers for one caller during one request."""

    def __init__(self, policy: Policy, context: RequestContext, find_network: FindNetwork) -> None:
        self._policy = policy
        self._context = context
        self._credentials = credentials(context)
        self._find_network = find_network
        self._hidden: dict[str, tuple[frozenset[str], list[str]]] = {}
        self._who = context.project_id, context.user_id, context.roles
        self._networks: dict[str, Mapping[str, Any] | None] = {}

    def allows(self, rule: str, attributes: Mapping[str, Any]) -> bool:
        """Whether the caller may; administrators always may, as in Neutron."""
        if self._context.is_admin:
            return True
        keys = self._policy.looks_at(rule)
        target = attributes if isinstance(attributes, Target) else self.target(attributes)
        if keys is None:
            return self._policy.passes(rule, target, self._credentials)
        question = self._question(rule, target, keys)
        answer = self._policy.memory.get(question, UNASKED)
        if answer is UNASKED:
            with target.alone():
                answer = self._answer(question, rule, target)
        if answer is None:
            answer = self._answer((*question, *(_hashable(target.get(key)) for key in keys)), rule, target)
        return bool(answer)

    def _question(self, rule: str, target: Target, keys: Iterable[str]) -> tuple[Any, ...]:
        """All that decides a rule, as long as it does not come to ask for the network."""
        return (self._who, rule, bool(target.get("network_id")), *map(target.own, keys))

    def _answer(self, question: tuple[Any, ...], rule: str, target: Target) -> bool | None:
        """The answer to a question that says all that decides it; None when the network is asked for and must not
        be."""
        memory = self._policy.memory
        answer: bool | None = memory.get(question, UNASKED)
        if answer is UNASKED:
            if len(memory) > LARGEST_MEMORY:
                memory.clear()
            try:
                answer = self._policy.passes(rule, target, self._credentials)
            except _InDoubtError:
                answer = None
            memory[question] = answer
        return answer

    def hidden(self, prefix: str, target: Target) -> frozenset[str]:
        """The names after the prefix of rules that the caller does not pass: attributes that it is not shown. Rules
        that look at nothing, as most do, are asked once for all that is listed."""
        if prefix not in self._hidden:
            rules = self._policy.names(prefix)
            asked = [rule for rule in rules if self._policy.looks_at(rule) != frozenset()]
            always = frozenset(self._denied([rule for rule in rules if rule not in asked], prefix, target))
            self._hidden[prefix] = always, asked
        always, asked = self._hidden[prefix]
        return always.union(self._denied(asked, prefix, target))

    def _denied(self, rules: Iterable[str], prefix: str, target: Target) -> Iterator[str]:
        return (rule.removeprefix(prefix) for rule in rules if not self.allows(rule, target))

    def require(self, rule: str, attributes: Mapping[str, Any]) -> None:
        """Raises PolicyNotAuthorized."""
        if not self.allows(rule, attributes):
            raise PolicyNotAuthorized(rule=rule)

    def target(self, attributes: Mapping[str, Any]) -> Target:
        """A target whose network can be asked for."""
        return Target(attributes, self._network)

    def _network(self, network_id: str) -> Mapping[str, Any] | None:
        if network_id not in self._networks:
            self._networks[network_id] = self._find_network(network_id)
        return self._networks[network_id]


def credentials(context: RequestContext) -> dict[str, Any]:
    """A caller as oslo.policy sees one."""
    return {
        "user_id": context.user_id,
        "project_id": context.project_id,
        "tenant_id": context.project_id,
        "roles": list(context.roles),
        "is_admin": context.is_admin,
    }


def _keys(check: Any, rules: Mapping[str, Any], seen: frozenset[str]) -> frozenset[str] | None:
    if isinstance(check, (oslo_policy.AndCheck, oslo_policy.OrCheck)):
        parts = [_keys(part, rules, seen) for part in check.rules]
        return None if None in parts else frozenset().union(*(part for part in parts if part is not None))
    if isinstance(check, oslo_policy.NotCheck):
        return _keys(check.rule, rules, seen)
    if isinstance(check, oslo_policy.RuleCheck):
        known = check.match in rules and check.match not in seen
        return _keys(rules[check.match], rules, seen | {check.match}) if known else None
    if isinstance(check, FieldCheck):
        return frozenset({check.field})
    if not isinstance(check, oslo_policy.Check):
        return frozenset() if str(check) in ("@", "!") else None
    return None if check.kind in ("http", "https", "remote") else frozenset(_placeholders(check))


def _placeholders(check: oslo_policy.Check) -> Iterator[str]:
    yield from KEYS.findall(check.match)
    yield from KEYS.findall(check.kind)


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, (dict, list, set)) else value
