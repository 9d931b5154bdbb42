"""What the hints of exercise 4 say of the layers, for Keras and for PyTorch."""

from __future__ import annotations

_KERAS = {
    "model": "keras.Model([ids, h, c], [logits, h, c])",
    "called": "the model, called on the list [ids, h, c]",
    "again": "do not call its layer with training=True",
    "lstm": "a keras.layers.LSTM with initial_state=[h, c]",
    "shapes": "LSTM(units, return_sequences=True, return_state=True), then Dense(V) at every step",
    "begin": "initial_state=[h, c]",
    "end": "return_state=True",
    "outputs": "an LSTM's outputs are the sequence, then its state h, c",
    "logits": "Dense(V) without an activation",
    "mask": "no mask, so no mask_zero",
    "gradient": "keras.ops, not with NumPy or float()",
    "log_softmax": "from_logits=True, or ops.log_softmax",
    "loss": "Keras needs from_logits=True",
    "trained": "",
}
_TORCH = {
    "model": "a torch.nn.Module whose forward(ids, h, c) returns logits, h, c",
    "called": "the model, called as model(ids, h, c)",
    "again": "nn.Dropout heeds it, F.dropout only with training=self.training",
    "lstm": "an nn.LSTM, called as lstm(x, (h[None], c[None]))",
    "shapes": "x, (h, c) = lstm(x, (h[None], c[None])) with batch_first=True; return h[0] and "
    "c[0], and nn.Linear(units, V) of x",
    "begin": "lstm(x, (h[None], c[None]))",
    "end": "x, (h, c) = lstm(...)",
    "outputs": "an LSTM's outputs are the sequence, then its state (h, c)",
    "logits": "nn.Linear(units, V) without an activation",
    "mask": "no mask, so no padding_idx",
    "gradient": "torch, not with NumPy, .item() or .detach()",
    "log_softmax": "F.cross_entropy(logits.flatten(0, 1), targets.flatten()), or F.log_softmax",
    "loss": "F.cross_entropy takes logits, with the classes in dimension 1",
    "trained": " A layer is trained if it is an attribute of the module, not within a list.",
}
SAID = {"keras": _KERAS, "torch": _TORCH}


def said(library: str) -> dict[str, str]:
    """Gives the words for a library, which a student's process has named."""
    return SAID.get(library, _KERAS)
