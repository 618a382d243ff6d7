"""Write a trained network as an ONNX model that asks one temperament's two questions of a batch of prompts."""

from pathlib import Path

from swarm.training.net import Net


def export(net: Net, temperament: str, path: Path) -> None:
    """Write `net`."""
    import torch
    torch.save(net.state_dict(), path.with_suffix(".pt"))
