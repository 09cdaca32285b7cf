"""The hidden layer on two embeddings: split matrix against concatenation."""

import pytest
import torch

from dlnotes.generalization.grokking import Network, modular


@pytest.mark.bench(peer="torch.nn.functional.linear", sizes=[23, 59], axis="symbols")
def bench_network_forward(size, race):
    network, table = Network(size, 64, 128), modular(lambda a, b: a + b, size)
    left, right = table.left, table.right

    def concatenated():
        ends = torch.cat([network.embedding[left], network.embedding[right]], dim=1)
        hidden = torch.nn.functional.linear(ends, network.mix, network.bias).relu()
        return torch.nn.functional.linear(hidden, network.unembedding)

    race(ours=lambda: network(left, right), peer=concatenated)
