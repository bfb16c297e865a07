"""PyTorch as its users write it for speed: eager, data where the model is, channels_last, fused Adam, autocast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
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


class Bottleneck(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.narrow = normalized(channels, filters, 1, 1)
        self.middle = normalized(filters, filters, 3, stride)
        self.wide = normalized(filters, 4 * filters, 1, 1)
        same = channels == 4 * filters
        self.shortcut = nn.Identity() if same else normalized(channels, 4 * filters, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.narrow(x), inplace=True)
        y = self.wide(functional.relu(self.middle(y), inplace=True))
        return functional.relu(self.shortcut(x) + y, inplace=True)


def resnet_50() -> nn.Module:
    blocks = [normalized(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
    channels = 64
    for filters, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(count):
            blocks.append(Bottleneck(channels, filters, 2 if number == 0 and filters > 64 else 1))
            channels = 4 * filters
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


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
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.heads(self.norm1(x)).unflatten(-1, (3, -1, 64)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.joined(y.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.gelu(self.wide(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, length: int, width: int, depth: int, tied: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.layers = nn.Sequential(*(Layer(width) for _ in range(depth)), nn.LayerNorm(width))
        self.out = nn.Linear(width, vocabulary, bias=not tied)
        if tied:
            nn.init.normal_(self.out.weight, std=0.02)
            self.tokens.weight = self.out.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.layers(self.tokens(tokens) + self.positions))


def gpt() -> nn.Module:
    return GPT(256, 256, 256, 6, tied=False)


def gpt_124m() -> nn.Module:
    return GPT(50_304, 1024, 768, 12, tied=True)


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


MODELS = {
    "mlp": mlp, "cnn": cnn, "resnet": resnet, "lstm": LSTM, "gpt": gpt, "tiny": Tiny, "linear": linear,
    "resnet-50": resnet_50, "gpt-124m": gpt_124m,
}  # fmt: skip


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
        self.device, self.dtype = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, work.dtype)
        if self.device == "cuda":
            torch.set_float32_matmul_precision("high")  # on matrix units, as XLA has it
        model = MODELS[work.model]().to(self.device)
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (missing in torch's types)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=0.001, eps=1e-7, fused=True)
        self.parameters = sum(weight.numel() for weight in trained)
        self.model = self.prepared(model)
        self.x, self.y, self.batch = tensor(x).to(self.device), torch.from_numpy(y).to(self.device), work.batch
        self.loader: DataLoader | None = None

    def prepared(self, model: nn.Module) -> nn.Module:
        return model

    def epochs(self, count: int) -> dict[str, float]:
        return [self._epoch() for _ in range(count)][-1]

    def _epoch(self) -> dict[str, float]:
        order = torch.randperm(len(self.x), device=self.device).split(self.batch)
        return self._train((self.x[index], self.y[index]) for index in order)

    def stream(self, batches: SlowBatches) -> dict[str, float]:
        # A process of its own makes the batches, as this framework would have it; it stays for the next turn.
        if self.loader is None:
            self.loader = DataLoader(Stream(batches), batch_size=None, num_workers=1, persistent_workers=True)
        return self._train(self.loader)

    def _train(self, batches: Iterable[Any]) -> dict[str, float]:
        self.model.train()
        loss_sum, correct = torch.zeros((), device=self.device), torch.zeros((), dtype=torch.long, device=self.device)
        count = 0
        for x, y in batches:
            y = y.flatten().long()
            self.optimizer.zero_grad()
            with self._computed():
                logits = self.model(x).flatten(0, -2)
                loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(y)
            correct += (logits.argmax(1) == y).sum()
            count += len(y)
        return {"loss": loss_sum.item() / count, "accuracy": correct.item() / count}

    def _computed(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(self.device, self.dtype)

    @torch.no_grad()
    def predict(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        with self._computed():
            parts = [self.model(part.to(self.device)) for part in tensor(x).split(self.batch)]
        return torch.cat(parts).float().cpu().numpy()
