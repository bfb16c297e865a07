"""PyTorch as its users write it for speed on a CPU: eager, data in memory, channels_last, fused Adam."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.data import SlowBatches
from benchmarks.workloads import Work


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


def normalized(channels: int, filters: int, window: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, window, stride, padding=window // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class Block(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.first = normalized(channels, filters, 3, stride)
        self.second = normalized(filters, filters, 3, 1)
        self.shortcut = nn.Identity() if stride == 1 else normalized(channels, filters, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(functional.relu(self.first(x), inplace=True))
        return functional.relu(self.shortcut(x) + y, inplace=True)


def resnet() -> nn.Module:
    blocks = [normalized(3, 16, 3, 1), nn.ReLU(inplace=True)]
    for channels, filters in ((16, 16), (16, 32), (32, 64)):
        blocks += [Block(channels, filters, filters // channels), *(Block(filters, filters, 1) for _ in range(2))]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class LSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        second: Any = self.lstm.bias_hh_l0
        nn.init.zeros_(second).requires_grad_(False)  # the other frameworks have one bias
        self.out = nn.Linear(128, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(self.embedding(tokens))[0][:, -1])


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(256), nn.LayerNorm(256)
        self.heads, self.joined = nn.Linear(256, 3 * 256), nn.Linear(256, 256)
        self.wide, self.narrow = nn.Linear(256, 1024), nn.Linear(1024, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.heads(self.norm1(x)).unflatten(-1, (3, 4, 64)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.joined(y.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(256, 256)
        self.positions = nn.Parameter(0.02 * torch.randn(256, 256))
        self.layers = nn.Sequential(*(Layer() for _ in range(6)), nn.LayerNorm(256), nn.Linear(256, 256))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.layers(self.tokens(tokens) + self.positions)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(100))
        self.out = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.out(x)


def linear() -> nn.Module:
    return nn.Linear(1024, 10)


MODELS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "lstm": LSTM, "gpt": GPT, "tiny": Tiny, "linear": linear}


def tensor(x: np.ndarray) -> torch.Tensor:
    images = torch.from_numpy(x)
    # (N, H, W, C) is (N, C, H, W) in channels_last memory
    return images.permute(0, 3, 1, 2) if images.ndim == 4 else images


class Stream(IterableDataset):
    def __init__(self, batches: SlowBatches):
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return ((tensor(x), torch.from_numpy(y)) for x, y in self.batches)


class Training:
    def __init__(self, work: Work, x: np.ndarray, y: np.ndarray):
        torch.manual_seed(0)
        model = MODELS[work.model]()
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (missing in torch's types)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=0.001, eps=1e-7, fused=True)
        self.parameters = sum(weight.numel() for weight in trained)
        self.model = self.prepared(model)
        self.x, self.y, self.batch = tensor(x), torch.from_numpy(y), work.batch
        self.loader: DataLoader | None = None

    def prepared(self, model: nn.Module) -> nn.Module:
        return model

    def epochs(self, count: int) -> dict[str, float]:
        return [self._epoch() for _ in range(count)][-1]

    def _epoch(self) -> dict[str, float]:
        order = torch.randperm(len(self.x)).split(self.batch)
        return self._train((self.x[index], self.y[index]) for index in order)

    def stream(self, batches: SlowBatches) -> dict[str, float]:
        # A process of its own makes the batches, as this framework would have it; it stays for the next turn.
        if self.loader is None:
            self.loader = DataLoader(Stream(batches), batch_size=None, num_workers=1, persistent_workers=True)
        return self._train(self.loader)

    def _train(self, batches: Iterable[Any]) -> dict[str, float]:
        self.model.train()
        loss_sum, correct, count = torch.zeros(()), torch.zeros((), dtype=torch.long), 0
        for x, y in batches:
            y = y.flatten().long()
            self.optimizer.zero_grad()
            logits = self.model(x).flatten(0, -2)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(y)
            correct += (logits.argmax(1) == y).sum()
            count += len(y)
        return {"loss": loss_sum.item() / count, "accuracy": correct.item() / count}

    @torch.no_grad()
    def predict(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        return torch.cat([self.model(part) for part in tensor(x).split(self.batch)]).numpy()
