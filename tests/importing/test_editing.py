"""A graph while it is edited: what shares weights is known at any moment."""

import numpy as np
from spelling import long_chain

from pipeline.importing.passes import canonical
from pipeline.importing.passes.editing import GraphEditor
from pipeline.ops.shared.linear import Linear


def test_layers_of_equal_weights_are_known_while_layers_change() -> None:
    editing = GraphEditor(canonical(long_chain(3), "net.onnx"))
    slots = [at for at, n in enumerate(editing.nodes) if isinstance(n, Linear)]
    first = editing.node(slots[0])
    assert isinstance(first, Linear)
    alike = {
        at for at in slots if np.array_equal(editing.data(editing.node(at).inputs[1]), editing.data(first.weights))
    }
    assert editing.layers_sharing_weights(first) == alike and len(alike) > 1
    other = editing.constant("other", editing.data(first.weights) + 1)
    editing.put(slots[0], first.renamed({first.weights: other}))
    assert editing.layers_sharing_weights(first) == alike - {slots[0]}
    changed = editing.node(slots[0])
    assert isinstance(changed, Linear)
    assert editing.layers_sharing_weights(changed) == {slots[0]}
