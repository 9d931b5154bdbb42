"""The network of exercise 4, as classes of one's own."""

from __future__ import annotations

import keras
from keras import layers, ops


class Layers(keras.Model):
    """Has its layers by name, and dropout."""

    def __init__(self, size, embedding, units, name="network"):
        super().__init__(name=name)
        self.embed = layers.Embedding(size, embedding)
        self.before, self.after = layers.Dropout(0.2), layers.Dropout(0.2)
        self.lstm = layers.LSTM(units, return_sequences=True, return_state=True)
        self.out = layers.Dense(size)

    def call(self, inputs, training=False):
        ids, h, c = inputs
        x = self.before(self.embed(ids), training=training)
        x, h, c = self.lstm(x, initial_state=[h, c])
        return self.out(self.after(x, training=training)), h, c


class Inner(keras.Model):
    """Has a model inside, and takes no `training`."""

    def __init__(self, size, embedding, units):
        super().__init__()
        self.parts = [layers.Embedding(size, embedding), Cell(units), layers.Dense(size)]

    def call(self, inputs):
        embed, inner, out = self.parts
        x, *state = inner([embed(inputs[0]), *inputs[1:]])
        return [out(x), *state]


class Cell(keras.Model):
    """An `RNN` around a cell."""

    def __init__(self, units):
        super().__init__()
        cell = layers.LSTMCell(units)
        self.rnn = layers.RNN(cell, return_sequences=True, return_state=True)

    def call(self, inputs):
        return self.rnn(inputs[0], initial_state=list(inputs[1:]))


class Loop(keras.Model):
    """Goes from word to word in Python, so that T must be a number when it is called."""

    def __init__(self, size, embedding, units):
        super().__init__()
        self.embed, self.cell = layers.Embedding(size, embedding), layers.LSTMCell(units)
        self.out = layers.Dense(size)

    def call(self, inputs):
        ids, h, c = inputs
        x, found = self.embed(ids), []
        for t in range(ids.shape[1]):
            _, (h, c) = self.cell(x[:, t], [h, c])
            found.append(h)
        return self.out(ops.stack(found, axis=1)), h, c


class Formulas(keras.Model):
    """Has no recurrent layer, but the formulas and their weights."""

    def __init__(self, size, embedding, units):
        super().__init__()
        self.units = units
        self.embed, self.out = layers.Embedding(size, embedding), layers.Dense(size)
        self.kernel = self.add_weight(shape=(embedding, 4 * units))
        self.recurrent = self.add_weight(shape=(units, 4 * units), initializer="orthogonal")
        self.bias = self.add_weight(shape=(4 * units,), initializer="zeros")

    def call(self, inputs):
        ids, h, c = inputs
        x, found = self.embed(ids), []
        for t in range(ids.shape[1]):
            z = x[:, t] @ self.kernel + h @ self.recurrent + self.bias
            i, f, g, o = ops.split(z, 4, axis=-1)
            c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
            h = ops.sigmoid(o) * ops.tanh(c)
            found.append(h)
        return self.out(ops.stack(found, axis=1)), h, c
