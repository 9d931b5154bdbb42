"""The language model: corpus, vocabulary, network, training, generation. It does not use Beam."""
