"""PyTorch as its users write it for speed on a CPU: eager, data in memory, channels_last, fused Adam."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.workloads import Epoch


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 5 * 5, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


MODELS = {"mlp": mlp, "cnn": cnn}


def tensors(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(x)
    if images.ndim == 4:  # (N, H, W, C) is (N, C, H, W) in channels_last memory
        images = images.permute(0, 3, 1, 2)
    return images, torch.from_numpy(y).long()


class Training:
    def __init__(self, workload: Epoch, x: np.ndarray, y: np.ndarray):
        torch.manual_seed(0)
        self.model = MODELS[workload.name]()
        self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (missing in torch's types)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001, eps=1e-7, fused=True)
        self.parameters = sum(weight.numel() for weight in self.model.parameters())
        self.x, self.y = tensors(x, y)
        self.batch = workload.batch

    def epoch(self) -> dict[str, float]:
        self.model.train()
        loss_sum = torch.zeros(())
        correct = torch.zeros((), dtype=torch.long)
        for index in torch.randperm(len(self.x)).split(self.batch):
            x, y = self.x[index], self.y[index]
            self.optimizer.zero_grad()
            logits = self.model(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(x)
            correct += (logits.argmax(1) == y).sum()
        return {"loss": loss_sum.item() / len(self.x), "accuracy": correct.item() / len(self.x)}

    @torch.no_grad()
    def evaluate(self, x: np.ndarray, y: np.ndarray) -> float:
        self.model.eval()
        images, labels = tensors(x, y)
        guesses = torch.cat([self.model(part).argmax(1) for part in images.split(1000)])
        return (guesses == labels).float().mean().item()
