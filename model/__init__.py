"""The language model: corpus, vocabulary, network, training, generation. Knows nothing of Beam."""
