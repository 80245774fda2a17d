"""Whether a grammar that recurs makes the engine keep ever more stacks for one and the same text.

The engine keeps all the stacks, different from one another, in which a text may have left it. Where a rule is come to
again from itself by one text with two different rests to be read after it, the stacks double each time.

Invariant: what `check_ambiguity` refuses does double. It may let pass what takes more steps than are allowed, or the
rule more than `_MAX_OPEN` times inside itself, or another more than once: to refuse a good grammar would be worse.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Set
from itertools import combinations_with_replacement, product

from foundrylocal.gateway.limits.grammar_tree import Choice, GrammarTooMuch, Node, Read, Repeat
from foundrylocal.gateway.limits.letters import Letters

MAX_STEPS = 100_000
_MAX_OPEN = 2
_SHOWN = 80
_NOTHING = 0  # the stack with which a rule has been read to its end
_Links = dict[str, set[str]]


def check_ambiguity(rules: dict[str, Choice], begin: str = "root", steps: int = MAX_STEPS) -> int:
    """Raises GrammarTooMuch with the rule that doubles; says how many steps were taken."""
    recursive = _recursive(_links(rules, begin))
    if not recursive:
        return 0
    network = _Network(rules)
    for number, name in enumerate(recursive):
        # To each its share of what is left, so that one that goes on and on leaves something to the others.
        network.allow((steps - network.steps) // (len(recursive) - number))
        try:
            doubles = _Search(network, name, recursive.keys()).doubles()
        except _Enough:
            continue
        if doubles:
            raise GrammarTooMuch(
                f"is ambiguous where it recurs: {name[:_SHOWN]} can be reached in two ways by the same text; "
                "begin such alternatives with their common part once"
            )
    return network.steps


# --- which rules recur ----------------------------------------------------------------------------------


def _names(node: Node) -> Iterator[str]:
    todo, seen = [node], {id(node)}
    for one in todo:  # grows on the way
        if isinstance(one, str):
            yield one
        inner = [one.item] if isinstance(one, Repeat) else []
        inner += [part for way in one.ways for part in way] if isinstance(one, Choice) else []
        todo += [part for part in inner if id(part) not in seen]
        seen.update(map(id, inner))


def _links(rules: dict[str, Choice], begin: str) -> _Links:
    """Which rules lead to which, of those that are used at all."""
    links: _Links = {}
    todo = [begin]
    for name in todo:  # grows on the way
        if name in rules and name not in links:
            links[name] = set(_names(rules[name]))
            todo += links[name]
    return links


def _recursive(links: _Links) -> _Links:
    """The rules that lead to themselves, with those between two such."""
    links = _without_ends(links)
    back: _Links = {name: set() for name in links}
    for name, others in links.items():
        for other in others:
            back[other].add(name)
    kept = _without_ends(back)
    return {name: others for name, others in links.items() if name in kept}


def _without_ends(links: _Links) -> _Links:
    """What is left when each that leads nowhere has been taken away, again and again."""
    links = {name: others & links.keys() for name, others in links.items()}
    back: dict[str, list[str]] = {name: [] for name in links}
    for name, others in links.items():
        for other in others:
            back[other].append(name)
    left = {name: len(others) for name, others in links.items()}
    ends = [name for name, count in left.items() if not count]
    for end in ends:  # grows on the way
        for name in back[end]:
            left[name] -= 1
            if not left[name]:
                ends.append(name)
    gone = set(ends)
    return {name: others - gone for name, others in links.items() if name not in gone}


# --- the grammar as places to go on from ----------------------------------------------------------------


class _Enough(Exception):
    """The steps that were allowed have been taken."""


class _Network:
    """Places by number, each with what may be read or called there; made of a rule when it is first come to.

    As the engine does it, a call leaves on the stack the place after it. What alternatives read before their first
    call they share: it leaves nothing on the stack.
    """

    def __init__(self, rules: dict[str, Choice]) -> None:
        self.steps = 0
        self._letters = Letters()
        self._met: dict[tuple[int, int], bool] = {}
        self.reads: list[dict[int, int]] = []
        self.calls: list[list[tuple[Node, int]]] = []
        self.ends: list[bool] = []
        self._rules = rules
        self._owners: list[str] = []
        self._starts: dict[str | int, int] = {}
        self._most = 0

    def allow(self, steps: int) -> None:
        self._most = self.steps + steps

    def spend(self, steps: int) -> None:
        if self.steps + steps > self._most:
            raise _Enough
        self.steps += steps

    def meet(self, letters: int, other: int) -> bool:
        """Whether a character is in both; long sets take steps the first time."""
        if letters == other:
            return True
        found = self._met.get((letters, other))
        if found is None:
            self.spend((self._letters.size(letters) + self._letters.size(other)) // 8)
            found = self._met[letters, other] = self._letters.meet(letters, other)
        return found

    def owner(self, place: int) -> str:
        """The rule in which a place is."""
        return self._owners[place]

    def start(self, node: Node, owner: str) -> int:
        key = node if isinstance(node, str) else id(node)
        if key not in self._starts:
            owner = node if isinstance(node, str) else owner
            start = self._place(owner)
            if isinstance(node, Repeat):
                self._repeat(start, node)
            else:
                for way in self._ways_of(node):
                    self._way(start, way)
            self._starts[key] = start  # only now: what was not finished is begun anew
        return self._starts[key]

    def _ways_of(self, node: Node) -> list[list[Node]]:
        if isinstance(node, str):
            return self._rules[node].ways if node in self._rules else []
        return node.ways if isinstance(node, Choice) else [[node]]

    def _place(self, owner: str) -> int:
        self.spend(2)  # takes the time of several
        self.reads.append({})
        self.calls.append([])
        self.ends.append(False)
        self._owners.append(owner)
        return len(self.ends) - 1

    def _way(self, place: int, way: list[Node]) -> None:
        for node in way:
            if not isinstance(node, Read):
                place = self._call(place, node)
                continue
            self.spend(len(node.text) // 4)
            for letters in self._letters.read(node.text):
                if letters not in self.reads[place]:
                    self.reads[place][letters] = self._place(self._owners[place])
                place = self.reads[place][letters]
        self.ends[place] = True

    def _repeat(self, place: int, node: Repeat) -> None:
        for _ in range(node.least):
            place = self._call(place, node.item)
        for _ in range((node.most or 0) - node.least):
            self.ends[place] = True
            place = self._call(place, node.item)
        self.ends[place] = True
        if node.most is None:
            again = self._call(place, node.item)
            self.calls[again].append((node.item, again))
            self.ends[again] = True

    def _call(self, place: int, node: Node) -> int:
        after = self._place(self._owners[place])
        self.calls[place].append((node, after))
        return after


# --- two stacks at once ---------------------------------------------------------------------------------

_Ways = tuple[list[tuple[int, int]], list[int]]


class _Search:
    """All pairs of stacks in which the same text, read from the begin of one rule, may have left the engine."""

    def __init__(self, network: _Network, goal: str, recursive: Set[str]) -> None:
        self._network = network
        self._goal = goal
        self._recursive = recursive
        # A stack is a number: the place on its top, and the stack below.
        self._stacks: list[tuple[int, int]] = [(-1, _NOTHING)]
        self._numbers: dict[tuple[int, int], int] = {}
        self._ways: dict[int, _Ways] = {}

    def doubles(self) -> bool:
        """Whether the rule is come to again, by one text, on stacks that make ever more of them."""
        begin = self._push(self._network.start(self._goal, self._goal), _NOTHING)
        known, todo = {(begin, begin)}, deque([(begin, begin)])
        while todo:
            one, other = todo.popleft()
            (reads, goals), (other_reads, other_goals) = self._ways_of(one), self._ways_of(other)
            self._network.spend(1 + len(reads) * len(other_reads) + len(goals) * len(other_goals))
            if any(self._differ(*rests) for rests in product(goals, other_goals)):
                return True
            both = combinations_with_replacement(reads, 2) if one == other else product(reads, other_reads)
            for (letters, after), (other_letters, other_after) in both:
                pair = (after, other_after) if after < other_after else (other_after, after)
                if pair not in known and self._network.meet(letters, other_letters):
                    known.add(pair)
                    todo.append(pair)
        return False

    def _push(self, place: int, below: int) -> int:
        """A stack with one place more, unless nothing is left to do there: so the engine does it too."""
        network = self._network
        if network.ends[place] and not network.reads[place] and not network.calls[place]:
            return below
        number = self._numbers.setdefault((place, below), len(self._stacks))
        if number == len(self._stacks):
            self._stacks.append((place, below))
        return number

    def _ways_of(self, stack: int) -> _Ways:
        """What can be read next, with the stack after it, and the stacks below the goal where that can be next."""
        if stack not in self._ways:
            reads: dict[tuple[int, int], None] = {}
            goals: dict[int, None] = {}
            todo, seen = [stack], {stack}
            for top in todo:  # grows on the way
                self._network.spend(1)
                if top == _NOTHING:
                    continue
                place, below = self._stacks[top]
                for letters, after in self._network.reads[place].items():
                    reads[letters, self._push(after, below)] = None
                found = [below] if self._network.ends[place] else []
                for node, after in self._network.calls[place]:
                    rest = self._push(after, below)
                    if node == self._goal:
                        goals[rest] = None
                    if self._may_open(node, rest):
                        found.append(self._push(self._network.start(node, self._network.owner(place)), rest))
                todo += [one for one in found if one not in seen]
                seen.update(found)
            self._ways[stack] = list(reads), list(goals)
        return self._ways[stack]

    def _may_open(self, node: Node, stack: int) -> bool:
        if not isinstance(node, str) or node not in self._recursive:
            return True
        places = self._places(stack)
        return Counter(map(self._network.owner, places))[node] < (_MAX_OPEN if node == self._goal else 1)

    def _places(self, stack: int) -> list[int]:
        places = []
        while stack != _NOTHING:
            place, stack = self._stacks[stack]
            places.append(place)
        self._network.spend(len(places))
        return places

    def _differ(self, one: int, other: int) -> bool:
        """Whether the two make ever more stacks: not if, one after the other, they come to the same in any order."""
        if one == other:
            return False
        places, others = self._places(one), self._places(other)
        return places + others != others + places
