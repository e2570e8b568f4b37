"""The difference between the two sides, as an ordered list of changes. The heart of the reconciler.

Pure and total: no clock, no kernel, no randomness; the same two sides always give the same plan. `plan` never gets a
handle that could write, so a dry run is this function and nothing else. What it returns is exactly what `apply`
executes, one change after the other, and applying it to `observed` by the rules of `effects` gives a state for which
the next plan is empty.

The surprising part is `_Planner.settle`: deleting one thing can silently take others away that shall stay, so the
planner follows the kernel's side effects until nothing new is lost and re-creates what it has to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from . import order
from .comparison import Difference, attributes, compare
from .effects import Lost
from .joined import Joined
from .objects import (
    HOST,
    Address,
    KernelObject,
    Key,
    Link,
    Netns,
    Port,
    Qdisc,
    Sysctl,
    Value,
    Veth,
    parents,
)
from .obstacles import Obstacles
from .plan import Action, AttributeChange, Cause, Change, Conflict, Creations, Pending, Plan
from .sides import Declared, Desired, Entries, Found, Observed, Requirement


def plan(
    desired: Desired,
    observed: Observed,
    *,
    applied: Mapping[Key, KernelObject] | None = None,
    claims: Mapping[Key, Value] | None = None,
    begun: Collection[str] = (),
) -> Plan:
    """What must happen for `observed` to become `desired`.

    `applied` is what the last apply established: it only tells drift from a change of the files. `claims` are the
    parameters and port roles that we changed on things that carry no mark, with the value they had before.
    `begun` names namespaces whose creation a killed run had announced: only those plain files are ours to repair.
    """
    planner = _Planner(desired, observed, applied or {}, claims or {}, begun)
    planner.compare_declared()
    if not observed.same:  # else a network would seem undeclared that is only seen under another name
        planner.remove_undeclared()
    planner.settle()
    return planner.result()


class _Planner:
    """The working state of one `plan` call; never leaves this module."""

    def __init__(
        self,
        desired: Desired,
        observed: Observed,
        applied: Mapping[Key, KernelObject],
        claims: Mapping[Key, Value],
        begun: Collection[str],
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.applied = applied
        self.claims = claims
        self.begun = begun
        self.conflicts: list[Conflict] = []
        self.pending: list[Pending] = []
        self.deletes: dict[Key, Change] = {}
        self.updates: dict[Key, Change] = {}
        self.creates: dict[Key, Change] = {}
        self.absent: list[Creations] = []
        self.unchanged: set[Key] = set()
        self.recognised, self.apart = _recognised(desired, observed)
        self.obstacles = Obstacles(observed, self.apart)

    @cached_property
    def lost(self) -> Lost:
        """What goes along with what is deleted; only made where something is."""
        return Lost({key: found.object for key, found in self.observed.objects.items()})

    # -- the declared side -------------------------------------------------------------------------------------

    def compare_declared(self) -> None:
        for requirement in self.desired.requirements:
            self.check_requirement(requirement)
        for key, declared in self.desired.others.items():
            self.compare_one(key, declared)
        entries = self.desired.entries.by_key
        if self.recognised is entries:
            return
        described = entries.keys() & self.apart.keys()
        for key in _in_order(described, self.desired):
            self.compare_one(key, entries[key])
        if described or self.recognised:
            entries = {k: d for k, d in entries.items() if k not in described and k not in self.recognised}
        self.create_entries(entries)

    def compare_one(self, key: Key, declared: Declared) -> None:
        found = self.apart.get(key)
        if declared.yields and found is not None and not found.ours:
            self.stand_in(key, declared, found.object)
        elif problem := self.obstacles.problem(declared.object, found):
            self.conflict(declared, *problem)
        elif found is None:
            self.create_missing(key, declared)
        elif differences := compare(declared.object, found.object):
            self.mend(key, declared, found, differences)
        else:
            self.unchanged.add(key)

    def check_requirement(self, wanted: Requirement) -> None:
        found = self.observed.objects.get(wanted.key)
        if wanted.key[0] == "netns" and (same := self.observed.same.get(wanted.key[1])) is not None:
            whose = f"the same as '{same}'" if same else "that of the host itself"
            message = f"{wanted.what} is {whose}"
            hint = "let one sandbox have all its endpoints" if same else "say `host: true` if that is meant"
            self.conflicts.append(Conflict(wanted.key, wanted.origin, message, hint, wanted.mark))
        elif wanted.awaited:
            self.check_awaited(wanted, None if found is None else found.object)
        elif found is None:
            none = " or is no network namespace" if wanted.key[0] == "netns" else ""
            message = f"{wanted.what} does not exist{none}"
            hint = "create it first; it is not this topology's to make"
            self.conflicts.append(Conflict(wanted.key, wanted.origin, message, hint, wanted.mark))
        elif (
            wanted.link_kind and isinstance(found.object, Link) and found.object.kind.name != wanted.link_kind
        ):
            message = (
                f"{wanted.what} is not a {wanted.link_kind} but a {found.object.kind.name or 'plain device'}"
            )
            self.conflicts.append(
                Conflict(wanted.key, wanted.origin, message, "name another one", wanted.mark)
            )

    def stand_in(self, key: Key, declared: Declared, held: KernelObject) -> None:
        """Somebody else's link serves in place of ours; it has to be up, and that is not ours to do."""
        if isinstance(held, Link) and not held.up:
            wanted = Requirement(key, declared.origin, declared.mark, f"parent '{held.name}'", awaited=True)
            self.check_awaited(wanted, held)
        self.unchanged.add(key)

    def check_awaited(self, wanted: Requirement, held: KernelObject | None) -> None:
        if isinstance(held, Link) and held.up:
            return
        problem = "does not exist" if held is None else "is down"
        hint = "everything else goes on; what stands on it comes with the next apply after it is there"
        message = f"{wanted.what} {problem}"
        self.pending.append(Pending(wanted.key, wanted.origin, message, hint, wanted.mark))

    def create_missing(self, key: Key, declared: Declared) -> None:
        obj = declared.object
        if isinstance(obj, Netns) and obj.netns in self.observed.orphans and obj.netns not in self.begun:
            self.conflict(
                declared,
                f"the netns directory holds a plain file '{obj.netns}', which no run of ours left there",
                "remove the file if nobody needs it",
            )
            return
        if isinstance(obj, Sysctl) and not self.will_exist(obj):
            self.conflict(
                declared, f"this kernel has no parameter {obj.path.replace('/', '.')}", "remove the line"
            )
            return
        cause = Cause.DRIFT if key in self.applied else Cause.DECLARED
        self.creates[key] = Change(Action.CREATE, None, obj, cause, declared.origin, declared.mark)

    def create_entries(self, absent: Mapping[Key, Declared]) -> None:
        """None of these is there. They stay together, as there can be ten thousands."""
        lost = absent.keys() & self.applied.keys()
        for keys, cause in (
            (absent.keys() - lost if lost else absent.keys(), Cause.DECLARED),
            (lost, Cause.DRIFT),
        ):
            if len(keys) == len(self.desired.entries.by_key):
                self.absent.append(Creations(self.desired.entries, cause))
            elif keys:
                self.absent.append(Creations(Entries({k: d for k, d in absent.items() if k in keys}), cause))

    def will_exist(self, sysctl: Sysctl) -> bool:
        """Whether a parameter that was not found may still appear with its link or namespace."""
        if sysctl.link is None:
            known = sysctl.path not in self.observed.unknown
            return known and ("netns", sysctl.netns) not in self.observed.objects
        found = self.observed.objects.get(("link", sysctl.netns, sysctl.link))
        if found is None or not isinstance(found.object, Link):
            return True
        # Below 1,280 bytes a link has no IPv6 parameters; they come with the MTU that it is about to get.
        return (found.object.mtu or 0) < 1280

    def conflict(self, declared: Declared, message: str, hint: str) -> None:
        self.conflicts.append(Conflict(declared.object.key, declared.origin, message, hint, declared.mark))

    def mend(self, key: Key, declared: Declared, found: Found, differences: tuple[Difference, ...]) -> None:
        changes = tuple(self.attribute_change(key, difference) for difference in differences)
        forcing = tuple(change.name for change in changes if change.forces)
        cause = Cause.DRIFT if all(change.cause is Cause.DRIFT for change in changes) else Cause.DECLARED
        if forcing:
            self.deletes[key] = Change(
                Action.DELETE, found.object, None, cause, declared.origin, declared.mark, changes, forcing
            )
            self.creates[key] = Change(
                Action.CREATE, None, declared.object, cause, declared.origin, declared.mark, changes, forcing
            )
        else:
            self.updates[key] = Change(
                Action.UPDATE, found.object, declared.object, cause, declared.origin, declared.mark, changes
            )

    def attribute_change(self, key: Key, difference: Difference) -> AttributeChange:
        before = self.applied.get(key)
        same = before is not None and any(
            row.name == difference.name and value == difference.desired for row, value in attributes(before)
        )
        if before is not None and difference.name == "kind" and isinstance(before, Link):
            same = before.kind.name == difference.desired
        cause = Cause.DRIFT if same else Cause.DECLARED
        return AttributeChange(
            difference.name, difference.observed, difference.desired, cause, forces=not difference.in_place
        )

    # -- the observed side -------------------------------------------------------------------------------------

    def remove_undeclared(self) -> None:
        candidates = [
            (key, found)
            for key, found in self.apart.items()
            if found.ours and key not in self.desired.objects and not isinstance(found.object, Sysctl | Port)
        ]
        going = frozenset(found.object.netns for _, found in candidates if isinstance(found.object, Netns))
        candidates.sort(key=lambda item: (order.removal(item[1].object, going), item[0]))
        if candidates:
            self.lost.delete(self.deletes)
        for key, found in candidates:
            # A link's host end is always removed by name, also when its namespace goes: the kernel cleans up
            # namespaces later, and a name that is still taken would be in the way of the next apply.
            if key in self.lost.gone and not (isinstance(found.object, Link) and found.object.netns == HOST):
                continue
            if self.is_peer_of_deleted(found.object):
                continue
            self.deletes[key] = Change(
                Action.DELETE, found.object, None, Cause.REMOVED, found.origin or "topology"
            )
            self.lost.delete([key])
        for name in sorted(self.observed.orphans):
            self.remove_orphan(name)
        for key, prior in self.claims.items():
            self.give_back(key, prior)

    def remove_orphan(self, name: str) -> None:
        """What a creation of ours that was cut short left of a namespace nobody declares any more."""
        gone = Netns(netns=name)
        if name in self.begun and gone.key not in self.desired.objects:
            self.deletes[gone.key] = Change(Action.DELETE, gone, None, Cause.REMOVED, "topology")

    def is_peer_of_deleted(self, obj: KernelObject) -> bool:
        if not isinstance(obj, Link) or not isinstance(obj.kind, Veth) or obj.kind.peer is None:
            return False
        return ("link", *obj.kind.peer) in self.deletes

    def give_back(self, key: Key, prior: Value) -> None:
        """Reset a claimed parameter or port that is no longer declared and still holds something."""
        found = self.observed.objects.get(key)
        if key in self.desired.objects or found is None or key in self.lost.gone:
            return
        match found.object:
            case Sysctl(value=value) as held if value != prior and prior is not None:
                after: KernelObject | None = replace(held, value=str(prior))
            case Port(master=master) as held if master is not None:
                after = None
            case _:
                return
        origin = found.origin or "topology"
        self.deletes[key] = Change(Action.DELETE, held, after, Cause.REMOVED, origin)

    # -- side effects ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Re-create what shall stay and is lost through a deletion, until nothing more is lost."""
        if not self.deletes:
            return
        self.lost.delete(self.deletes)
        for key in _in_order(self.lost.gone, self.desired):
            if key in self.creates:
                continue
            declared = self.desired.objects[key]
            self.updates.pop(key, None)
            self.unchanged.discard(key)
            self.creates[key] = Change(
                Action.CREATE, None, declared.object, Cause.DEPENDENCY, declared.origin, declared.mark
            )
        for key in _in_order(self.lost.released, self.desired):
            self.reattach(key)

    def reattach(self, key: Key) -> None:
        """A port whose bridge goes keeps existing without a bridge: join it again, with whatever else it needs."""
        declared = self.desired.objects[key]
        held = self.observed.objects[key].object
        if key in self.creates or not isinstance(held, Link | Port):
            return
        self.unchanged.discard(key)
        known = {
            change.name: change for change in (self.updates[key].attributes if key in self.updates else ())
        }
        loose = replace(held, master=None, port=None)
        changes = tuple(
            known.get(d.name) or AttributeChange(d.name, d.observed, d.desired, Cause.DEPENDENCY)
            for d in compare(declared.object, loose)
        )
        if changes:
            self.updates[key] = Change(
                Action.UPDATE,
                loose,
                declared.object,
                Cause.DEPENDENCY,
                declared.origin,
                declared.mark,
                changes,
            )

    # -- the result --------------------------------------------------------------------------------------------

    def result(self) -> Plan:
        deletes = self.effective(
            sorted(self.deletes.values(), key=lambda change: order.deletion(change.object))
        )
        changes, withheld = self.possible(
            Joined((list(map(self.with_interrupts, deletes)), *self.in_order()))
        )
        held: dict[Key, set[str]] = {}
        for change, cause in withheld:
            held.setdefault(cause, set()).add(change.origin)
        return Plan(
            self.desired.topology,
            changes,
            tuple(self.conflicts),
            tuple(found.object for found in self.apart.values() if self.is_notable(found)),
            len(self.unchanged) + len(self.recognised) - len(self.recognised.keys() & self.creates.keys()),
            tuple(replace(one, held=tuple(sorted(held.get(one.key, ())))) for one in self.pending),
            frozenset(change.key for change, _ in withheld),
        )

    def in_order(self) -> list[Sequence[Change]]:
        """Creations and updates."""
        made = {**self.creates, **self.updates}
        if not made:
            return [*self.absent]
        of_tunnels = self.desired.entries.by_key
        entries = [change for key, change in made.items() if key in of_tunnels]
        others = [change for key, change in made.items() if key not in of_tunnels]
        creation = order.Creation(self.desired)
        entries.sort(key=lambda change: creation.entries[change.key])
        others.sort(key=lambda change: creation.of(change.object))
        before = sum(1 for change in others if creation.of(change.object) < order.ENTRIES)
        return [others[:before], *self.absent, entries, others[before:]]

    def effective(self, deletes: list[Change]) -> list[Change]:
        """Without what is gone by then because an earlier one takes it along."""
        if not deletes:
            return []
        lost = Lost(self.lost.objects)
        kept = []
        for change in deletes:
            if change.key in lost.gone:
                continue
            kept.append(change)
            if change.after is None and not isinstance(change.object, Port):
                lost.delete([change.key])
        return kept

    def possible(self, changes: Sequence[Change]) -> tuple[Sequence[Change], list[tuple[Change, Key]]]:
        """Without what stands on something that is in conflict, which would only hide the conflict in the list, or
        that is waited for. What is no longer declared goes in any case. Also, which changes wait for which key.
        """
        causes = {key: key for key in [c.key for c in self.conflicts] + [p.key for p in self.pending]}
        if not causes:
            return changes, []
        kept: list[Change] = []
        withheld: list[tuple[Change, Key]] = []
        for change in changes:
            removal = change.action is Action.DELETE and not change.replaces
            cause = next((causes[key] for key in parents(change.object) if key in causes), None)
            if removal or cause is None:
                kept.append(change)
            else:
                causes[change.key] = cause
                withheld.append((change, cause))
        return kept, withheld

    def with_interrupts(self, change: Change) -> Change:
        if change.action is not Action.DELETE or not isinstance(change.before, Link):
            return change
        if change.key not in self.creates:
            return change
        cut = self.lost.of([change.key])
        origins = {
            self.desired.objects[key].origin for key in _in_order(cut, self.desired) if key[0] == "link"
        }
        return change._replace(interrupts=tuple(sorted(origins - {change.origin})))

    def is_notable(self, found: Found) -> bool:
        """Foreign links and addresses in places of ours, which a reader of the plan may wonder about."""
        obj = found.object
        if found.ours or obj.key in self.desired.objects:
            return False
        match obj:
            case Link(master=master):
                return master is not None and self.observed.is_ours(("link", obj.netns, master))
            case Address() | Qdisc():
                return self.observed.is_ours(("link", obj.netns, obj.link))
            case _:
                return False


def _recognised(desired: Desired, observed: Observed) -> tuple[Mapping[Key, Declared], Mapping[Key, Found]]:
    """What is known to be as declared, and all else that was found. A look that was made for other files knows nothing."""
    known = observed.as_declared
    if known is desired.entries.by_key or all(desired.objects.get(k) is each for k, each in known.items()):
        return known, observed.apart
    return {}, observed.objects


def _in_order(keys: Iterable[Key], desired: Desired) -> list[Key]:
    return sorted(key for key in keys if key in desired.objects)
