"""A small multilayer perceptron in numpy, trained with Adam: deterministic, no framework.

It stands low among the rooms because who serves classifiers, who predicts experts and who studies
either all use it. Randomness comes from generators that callers hand in. Its matrices are small:
work on them belongs under `one_thread`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

F = TypeVar("F", bound=Callable[..., Any])

Floats = NDArray[np.float64]

Loss = Callable[[Floats, NDArray[np.int64]], tuple[float, Floats]]
"""From outputs, shape (n, k), and rows of the training data, shape (n,), to the loss and its
slopes by the outputs, shape (n, k)."""

Disturb = Callable[["Mlp", Floats, NDArray[np.int64]], Floats]
"""Changes a batch of inputs before a step of training: given the network, inputs and rows."""


def one_thread(function: F) -> F:
    """Decorate a function whose matrices are to be multiplied by one thread.

    Small matrices gain nothing by several threads, which on a busy machine wait for one another a
    hundred times as long as they work. Nor do the last bits of a product depend on its cores then.
    """
    wrapped: F = threadpool_limits.wrap(limits=1, user_api="blas")(function)
    return wrapped


class Mlp:
    """Fully connected layers with ReLU between them: ``x -> max(0, x W + b) -> ... -> x W + b``.

    Parameters
    ----------
    parameters
        Weights and biases in turn, shapes (inputs, outputs) and (outputs,), from the first layer.

    Examples
    --------
    >>> identity = Mlp([np.eye(2), np.zeros(2)])
    >>> identity.outputs(np.array([[1.0, -2.0]])).tolist()
    [[1.0, -2.0]]
    """

    def __init__(self, parameters: Sequence[Floats]) -> None:
        self.parameters = list(parameters)

    @classmethod
    def initial(cls, sizes: Sequence[int], generator: np.random.Generator) -> Mlp:
        """Return an untrained network; weights are ``N(0, 2 / inputs)`` (He et al., 1502.01852).

        Parameters
        ----------
        sizes
            Of the inputs, of every hidden layer, and of the outputs.
        generator
            What weights are drawn from.
        """
        parameters = []
        for inputs, outputs in pairwise(sizes):
            scale = np.sqrt(2.0 / inputs)
            parameters += [scale * generator.standard_normal((inputs, outputs)), np.zeros(outputs)]
        return cls(parameters)

    def copy(self) -> Mlp:
        """Return a network of its own with equal parameters."""
        return Mlp([parameter.copy() for parameter in self.parameters])

    def outputs(self, inputs: Floats) -> Floats:
        """Return the outputs, shape (n, k), of inputs, shape (n, d)."""
        return self.layers(inputs)[-1]

    def layers(self, inputs: Floats) -> list[Floats]:
        """Return inputs, what every hidden layer shows, and outputs."""
        found, last = [inputs], len(self.parameters) - 2
        for index in range(0, len(self.parameters), 2):
            weights, biases = self.parameters[index : index + 2]
            shown = found[-1] @ weights
            shown += biases
            found.append(shown if index == last else np.maximum(shown, 0.0, out=shown))
        return found

    def gradients(self, layers: Sequence[Floats], slopes: Floats) -> tuple[list[Floats], Floats]:
        """Return the gradients of a loss by parameters, and by inputs.

        Parameters
        ----------
        layers
            Of the inputs, from `layers`.
        slopes
            Of the loss by the outputs, shape (n, k).
        """
        gradients: list[Floats] = []
        for index in range(len(self.parameters) - 2, -1, -2):
            shown = layers[index // 2]
            gradients[:0] = [shown.T @ slopes, slopes.sum(axis=0)]
            slopes = slopes @ self.parameters[index].T
            if index:
                slopes *= shown > 0.0
        return gradients, slopes


class Adam:
    """Adam (Kingma and Ba, 1412.6980), with its authors' decay rates.

    Parameters
    ----------
    parameters
        What is trained, changed in place.
    learning_rate
        Size of a step.
    """

    _DECAY, _SQUARE_DECAY, _FLOOR = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Sequence[Floats], learning_rate: float = 1e-3) -> None:
        self.learning_rate = learning_rate
        self._parameters = parameters
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[Floats]) -> None:
        """Go one step against the gradients."""
        self._steps += 1
        rate = self.learning_rate / (1.0 - self._DECAY**self._steps)
        unbiased = 1.0 - self._SQUARE_DECAY**self._steps
        for index, gradient in enumerate(gradients):
            mean, square = self._means[index], self._squares[index]
            mean += (1.0 - self._DECAY) * (gradient - mean)
            square += (1.0 - self._SQUARE_DECAY) * (gradient * gradient - square)
            self._parameters[index][...] -= rate * mean / (np.sqrt(square / unbiased) + self._FLOOR)


def log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities, shape (n, k), of logits of that shape.

    Examples
    --------
    >>> np.exp(log_softmax(np.array([[0.0, 0.0]]))).tolist()
    [[0.5, 0.5]]
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def cross_entropy(logits: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Return the mean cross-entropy and its slopes by the logits.

    Parameters
    ----------
    logits
        Shape (n, k).
    labels
        Right classes, shape (n,).

    Examples
    --------
    >>> loss, slopes = cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 4), slopes.tolist()
    (0.6931, [[-0.5, 0.5]])
    """
    rows, logs = np.arange(len(labels)), log_softmax(logits)
    slopes = np.exp(logs)
    slopes[rows, labels] -= 1.0
    return float(-logs[rows, labels].mean()), slopes / len(labels)


def train(
    mlp: Mlp,
    inputs: Floats,
    loss: Loss,
    *,
    epochs: int,
    generator: np.random.Generator,
    batch: int = 64,
    learning_rate: float = 1e-3,
    disturb: Disturb | None = None,
) -> list[float]:
    """Train a network in place with Adam on shuffled batches.

    Parameters
    ----------
    mlp, inputs
        What is trained, and on what, shape (n, d).
    loss
        Of a batch; it is told the rows of ``inputs`` that the batch has.
    epochs, batch, learning_rate
        How often all inputs are seen, how many a step sees, and how large steps are.
    generator
        What orders are drawn from.
    disturb
        Changes inputs before each step: noise, or an attack on the network as it stands.

    Returns
    -------
    list of float
        The mean loss of every epoch.

    Examples
    --------
    >>> generator, points = np.random.default_rng(0), np.array([[-1.0], [1.0]])
    >>> mlp, labels = Mlp.initial([1, 2], generator), np.array([0, 1])
    >>> loss = lambda outputs, rows: cross_entropy(outputs, labels[rows])
    >>> losses = train(mlp, points, loss, epochs=50, generator=generator, learning_rate=0.1)
    >>> mlp.outputs(points).argmax(axis=1).tolist()
    [0, 1]
    """
    adam, losses = Adam(mlp.parameters, learning_rate), []
    for _ in range(epochs):
        order, total = generator.permutation(len(inputs)), 0.0
        for start in range(0, len(inputs), batch):
            rows = order[start : start + batch]
            seen = inputs[rows] if disturb is None else disturb(mlp, inputs[rows], rows)
            layers = mlp.layers(seen)
            value, slopes = loss(layers[-1], rows)
            adam.step(mlp.gradients(layers, slopes)[0])
            total += value * len(rows)
        losses.append(total / len(inputs))
    return losses
