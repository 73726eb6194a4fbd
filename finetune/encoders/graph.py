"""A BERT-style encoder as an ONNX graph whose matrices are multiplied in 8 bits, for ONNX Runtime on a CPU.

It reads the tokens of one text and gives one vector: no padding, and no text changes the vector of another. Weights are
rounded by column. What a matrix is multiplied with is rounded as it comes: as a whole where that loses nothing to speak
of, token by token where few tokens hold values a hundred times those of the others (the two matrices of a feed-forward
network; without this the cosine with 32 bits falls from .998 to .995). What is signed in the file are the matrices and
their zero points alone: `api/runtime/onnx/server.py` takes the sign away on processors that would lose something by it.
"""

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from finetune.encoders.rounding import Rounded, by_column, by_row

Tensor = NDArray[Any]
MICROSOFT = "com.microsoft"
"""The operators that ONNX Runtime has beside the standard's."""
OPSETS = (helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1))
IR_VERSION = 10

ZERO_OF_SIGNED = 128
"""Of values that are as often below 0 as above, 8 bits without a sign."""
ZERO_OF_GELU = 40
"""Of what a GELU gives, which is never below -.17."""


class Norm(NamedTuple):
    """A layer normalisation."""

    weight: Tensor
    bias: Tensor
    epsilon: float


class Linear(NamedTuple):
    """A matrix of (out, in), as Hugging Face stores it, and what is added."""

    weight: Tensor
    bias: Tensor


class Graph:
    """Operators one after the other; every method returns the name of what it computes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def embedding(self, tokens: Tensor, positions: Tensor, norm: Norm) -> str:
        """Tokens and their places, added and normalised."""
        table = by_row(tokens)
        unsigned = (table.numbers.astype(np.int16) + ZERO_OF_SIGNED).astype(np.uint8)
        rounded = self._node("Gather", self.constant(unsigned), "ids")
        scales = self._node("Gather", self.constant(table.scales[:, None]), "ids")
        zero = self.constant(np.array(ZERO_OF_SIGNED, np.float32))
        signed = self._node("Sub", self._node("Cast", rounded, to=TensorProto.FLOAT), zero)
        words = self._node("Mul", signed, scales)
        length = self._node("Shape", "ids", start=1)
        first, axis = self.constant(np.array([0])), self.constant(np.array([0]))
        places = self._node("Slice", self.constant(positions), first, length, axis)
        return self.normalised(self._node("Add", words, places), norm)

    def attention(self, x: str, query_key_value: Linear, output: Linear, heads: int) -> str:
        """Every token looks at every other one."""
        width = output.weight.shape[1]
        apart = self.constant(np.array([0, 0, 3 * heads, width // heads]))
        together = self.constant(np.array([0, 0, width]))
        split = self._node("Reshape", self.linear(x, query_key_value), apart)
        query, key, value = self._nodes_of(
            "Split", 3, self._node("Transpose", split, perm=[0, 2, 1, 3]), axis=1, num_outputs=3
        )
        scale = float(width // heads) ** -0.5
        scores = self._node("FusedMatMul", query, key, domain=MICROSOFT, transB=1, alpha=scale)
        seen = self._node("MatMul", self._node("Softmax", scores, axis=-1), value)
        merged = self._node("Reshape", self._node("Transpose", seen, perm=[0, 2, 1, 3]), together)
        return self.linear(merged, output)

    def feed_forward(self, x: str, wider: Linear, narrower: Linear) -> str:
        """A wider layer with a GELU, and back."""
        size = self._node("ReduceMax", self._node("Abs", x), self.constant(np.array([-1])))
        hidden = self._by_token(x, size, ZERO_OF_SIGNED, wider.weight)
        hidden = self._node("BiasGelu", hidden, self.constant(wider.bias), domain=MICROSOFT)
        size = self._node("ReduceMax", hidden, self.constant(np.array([-1])))
        back = self._by_token(hidden, size, ZERO_OF_GELU, narrower.weight)
        return self._node("Add", back, self.constant(narrower.bias))

    def normalised(self, x: str, norm: Norm) -> str:
        """Layer normalisation. ONNX Runtime's operator that also adds takes three times as long as both apart."""
        weights = (self.constant(norm.weight), self.constant(norm.bias))
        return self._node("LayerNormalization", x, *weights, epsilon=norm.epsilon, axis=-1)

    def added(self, x: str, y: str) -> str:
        """The sum of two."""
        return self._node("Add", x, y)

    def linear(self, x: str, layer: Linear) -> str:
        """x W + b, where x is rounded as a whole."""
        weights = self._rounded(by_column(layer.weight.T))
        bias = self.constant(layer.bias)
        return self._node("DynamicQuantizeMatMul", x, *weights, bias, domain=MICROSOFT)

    def pooled(self, x: str, pooling: str) -> str:
        """One vector of length 1 for all tokens: their mean, or what the first has become."""
        if pooling == "mean":
            one = self._node("ReduceMean", x, self.constant(np.array([1])), keepdims=0)
        else:
            one = self._node("Gather", x, self.constant(np.array(0)), axis=1)
        return self._node("LpNormalization", one, axis=1, p=2)

    def model(self, vector: str, width: int, metadata: dict[str, str]) -> onnx.ModelProto:
        """The graph from `ids` to `vector`, with what is to be known of it."""
        self._nodes.append(helper.make_node("Identity", [vector], ["vector"]))
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, width])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)
        helper.set_model_props(model, metadata)
        return model

    def constant(self, value: Tensor) -> str:
        """A value that the file holds."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _by_token(self, x: str, size: str, zero: int, weight: Tensor) -> str:
        """x W, where each token of x is rounded by itself: its greatest value, `size`, is the greatest number."""
        step = self._node(
            "Mul", size, self.constant(np.full((1, 1, 1), 1 / (255 - zero), np.float32))
        )
        steps = self._node("Reshape", step, self.constant(np.array([-1])))
        zeros = self._node(
            "ConstantOfShape",
            self._node("Shape", steps),
            value=helper.make_tensor("zero", TensorProto.UINT8, [1], [zero]),
        )
        rounded = self._node("QuantizeLinear", x, steps, zeros, axis=1)
        numbers, scales, none = self._rounded(by_column(weight.T))
        one = self.constant(np.array(1, np.float32))
        offset = self.constant(np.array(zero, np.uint8))
        product = self._node(
            "MatMulIntegerToFloat",
            *(rounded, numbers, one, scales, offset, none),
            domain=MICROSOFT,
        )
        return self._node("Mul", product, step)

    def _rounded(self, weights: Rounded) -> tuple[str, str, str]:
        """Numbers, scales and zero points, as ONNX Runtime's operators take them."""
        zeros = np.zeros(len(weights.scales), np.int8)
        return self.constant(weights.numbers), self.constant(weights.scales), self.constant(zeros)

    def _node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self._nodes_of(operator, 1, *inputs, domain=domain, **attributes)[0]

    def _nodes_of(
        self, operator: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        names = [f"{operator}{len(self._nodes)}.{number}" for number in range(outputs)]
        node = helper.make_node(operator, inputs, names, domain=domain, **attributes)
        self._nodes.append(node)
        return names
