import torch

from rsc_mm.visualization import class_map


def test_the_most_similar_class_by_hand() -> None:
    dense = torch.tensor([[[9., 1, 1]], [[1., 3, 1.2]]])  # tokens (9, 1), (1, 3), (1, 1.2)
    embeddings = torch.tensor([[100., 0], [0, 0.1], [1, 1]])  # their length does not count
    assert class_map(dense, embeddings).tolist() == [[0, 1, 2]]
    assert class_map(dense.bfloat16(), embeddings).tolist() == [[0, 1, 2]]
