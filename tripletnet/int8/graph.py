"""A network as a graph of operators that can be rewritten: MXNet's symbol, as its JSON has it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.networks import EncoderBlock
from tripletnet.runtime import environment

#: What the graph calls the images that go in.
INPUT = "data"

Node = dict[str, Any]


class Graph:
    """The operators of a network and its parameters.

    Parameters
    ----------
    symbol : Symbol
        The network, of one output.
    parameters : dict of str to NDArray
        Its parameters and running statistics, by their names in `symbol`.

    Attributes
    ----------
    parameters : dict of str to NDArray
        Replace what a rewriting changes.
    """

    def __init__(self, symbol: mx.sym.Symbol, parameters: dict[str, mx.nd.NDArray]) -> None:
        self._content = json.loads(symbol.tojson())
        self._nodes: list[Node] = self._content["nodes"]
        self.parameters = dict(parameters)

    @classmethod
    def of(cls, network: EncoderBlock) -> Graph:
        """Return the graph of an encoder up to the code before it is scaled to unit length."""
        symbol = network.unscaled(mx.sym, mx.sym.var(INPUT))
        parameters = {name: p.data() for name, p in network.collect_params().items()}
        # not a set, whose order is another in every process: what is stored is to be the same
        names = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
        return cls(symbol, {name: parameters[name] for name in names if name in parameters})

    def operators(self) -> Iterator[Node]:
        """Give the operators, each after those that it takes from."""
        return (node for node in self._nodes if node["op"] != "null")

    def inputs(self, node: Node) -> list[Node]:
        """Return what a node takes from, in its order."""
        return [self._nodes[entry[0]] for entry in node["inputs"]]

    def consumers(self, node: Node) -> list[Node]:
        """Return the nodes that take from `node`."""
        return [other for other in self.operators() if any(n is node for n in self.inputs(other))]

    def is_output(self, node: Node) -> bool:
        """Return whether the network's output is that of `node`."""
        return self._nodes[self._content["heads"][0][0]] is node

    def only_consumer(self, node: Node) -> Optional[Node]:
        """Return the one node that takes from `node`; None if there are others or none."""
        found = self.consumers(node)
        return found[0] if len(found) == 1 and not self.is_output(node) else None

    def values(self, node: Node) -> np.ndarray:
        """Return what a parameter's node holds."""
        return self.parameters[node["name"]].asnumpy()

    def set_values(self, node: Node, values: np.ndarray) -> None:
        """Give a parameter's node other values, of any shape."""
        node.get("attrs", {}).pop("__shape__", None)
        self.parameters[node["name"]] = mx.nd.array(values, dtype="float32")

    def drop(self, node: Node) -> None:
        """Let those that take from `node` take from its first input in its stead."""
        self._redirect(node, [node["inputs"][0]])
        self._sort()

    def replace_by_parameters(self, node: Node, values: dict[str, np.ndarray]) -> None:
        """Let the first result of `node` be its first input, and the others new parameters."""
        places = [self.add_parameter(name, value) for name, value in values.items()]
        self._redirect(node, [node["inputs"][0], *([place, 0, 0] for place in places)])
        self._sort()

    def turn_into_parameter(self, node: Node, values: np.ndarray) -> None:
        """Make a node a parameter of its own."""
        node.update(op="null", attrs={}, inputs=[])
        self.parameters[node["name"]] = mx.nd.array(values, dtype="float32")
        self._sort()

    def insert_after(self, node: Node, operator: str, name: str, options: dict[str, str]) -> None:
        """Put an operator behind `node`, for all that take from it to take from."""
        place, start = len(self._nodes), self._nodes.index(node)
        self._redirect(node, [[place, output, 0] for output in range(3)])
        added = {"op": operator, "name": name, "attrs": options, "inputs": [[start, 0, 0]]}
        self._nodes.append(added)
        self._sort()

    def _redirect(self, node: Node, entries: list[list[int]]) -> None:
        """Let those that take the results of `node` take other ones."""
        position = self._nodes.index(node)

        def other(entry: list[int]) -> list[int]:
            return entries[entry[1]] if entry[0] == position else entry

        for taker in self._nodes:
            taker["inputs"] = [other(entry) for entry in taker["inputs"]]
        self._content["heads"] = [other(entry) for entry in self._content["heads"]]

    def swap(self, first: Node, second: Node) -> None:
        """Exchange two operators of which the second takes from the first alone.

        The nodes keep their places: they exchange what they do.
        """
        for key in ("op", "name", "attrs"):
            first[key], second[key] = second.get(key, {}), first.get(key, {})
        parameters = first["inputs"][1:], second["inputs"][1:]
        first["inputs"][1:], second["inputs"][1:] = parameters[1], parameters[0]
        self._sort()

    def add_parameter(self, name: str, values: np.ndarray) -> int:
        """Add a parameter; return its place for the inputs of a node."""
        self._nodes.append({"op": "null", "name": name, "inputs": []})
        self.parameters[name] = mx.nd.array(values, dtype="float32")
        return len(self._nodes) - 1

    def _sort(self) -> None:
        """Bring every node behind those that it takes from, and leave out what nobody needs."""
        order: list[int] = []
        state: dict[int, bool] = {}
        stack = [(entry[0], False) for entry in self._content["heads"]]
        while stack:
            position, inputs_done = stack.pop()
            if inputs_done:
                order.append(position)
            elif position not in state:
                state[position] = True
                stack.append((position, True))
                stack += [(e[0], False) for e in reversed(self._nodes[position]["inputs"])]
        place = {old: new for new, old in enumerate(order)}
        self._nodes[:] = [self._nodes[position] for position in order]
        for node in self._nodes:
            node["inputs"] = [[place[e[0]], *e[1:]] for e in node["inputs"]]
        self._content["heads"] = [[place[e[0]], *e[1:]] for e in self._content["heads"]]

    def symbol(self) -> mx.sym.Symbol:
        """Return the graph as a symbol."""
        self._sort()
        leaves = [i for i, node in enumerate(self._nodes) if node["op"] == "null"]
        content = {**self._content, "nodes": self._nodes, "arg_nodes": leaves}
        content.pop("node_row_ptr", None)
        return mx.sym.load_json(json.dumps(content))

    def states(self) -> dict[str, mx.nd.NDArray]:
        """Return those parameters that are running statistics."""
        names = set(self.symbol().list_auxiliary_states())
        return {name: value for name, value in self.parameters.items() if name in names}

    def arguments(self) -> dict[str, mx.nd.NDArray]:
        """Return all other parameters."""
        names = set(self.symbol().list_arguments())
        return {name: value for name, value in self.parameters.items() if name in names}


def option(node: Node, name: str, default: str = "") -> str:
    """Return an operator's option as MXNet writes it."""
    return str(node.get("attrs", {}).get(name, default))


def pair(node: Node, name: str, default: Any = ()) -> tuple[int, ...]:
    """Return an operator's option that has a number for height and one for width."""
    given = node.get("attrs", {}).get(name)
    return tuple(ast.literal_eval(given)) if given not in (None, "", "()", "[]") else default


def bound(
    symbol: mx.sym.Symbol, parameters: dict[str, mx.nd.NDArray], shape: tuple[int, ...]
) -> Any:
    """Return what computes `symbol` on images of a shape, (N, 3, H, W): an executor of MXNet."""
    with environment("MXNET_SUBGRAPH_VERBOSE", "0"):  # it tells of each operator that it joins
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", **{INPUT: shape})
    executor.copy_params_from(
        {name: value for name, value in parameters.items() if name in executor.arg_dict},
        {name: value for name, value in parameters.items() if name in executor.aux_dict},
    )
    return executor
