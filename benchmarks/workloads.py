"""The work that is timed, a row each. The models stand in `frameworks/`, the data in `data.py`."""

from __future__ import annotations

import dataclasses

__all__ = ["WORKLOADS", "Start", "Work", "Workload", "samples_of"]

FULL = 60_000  # the `--samples` of a full run, for which `Work.samples` is given
PAUSE = 0.005  # seconds that a batch of the slow generator takes


@dataclasses.dataclass(frozen=True)
class Work:
    """What one process does in each of its turns, weights kept from turn to turn.

    `do` is one of
    - "fit": an epoch over arrays, shuffled, with loss and accuracy;
    - "stream": the same over a Python generator that waits `PAUSE` seconds for each batch;
    - "predict": the scores of all samples, in batches;
    - "answer": the scores of one sample after another, each asked for alone.
    """

    name: str
    label: str
    title: str
    model: str  # in MODELS of each framework
    data: str  # in MAKERS of data.py
    batch: int
    samples: int  # of one round in a full run
    parameters: int
    do: str = "fit"
    rounds: int = 1  # of a turn, one after another; a turn's seconds are those of one of them
    tested: int = 10_000  # the samples of which the accuracy is told are no more than these
    dtype: str = "float32"  # what is computed in; weights are float32
    device: str = "cpu"

    @property
    def learns(self) -> bool:
        return self.do in ("fit", "stream")


@dataclasses.dataclass(frozen=True)
class Start:
    """A new process, timed to the end of the first batch of `work` or over one statement of the contender."""

    name: str
    label: str
    title: str
    work: Work | None = None
    statement: str = ""  # a field of Contender
    cold: bool = False  # nothing compiled is found
    device: str = "cpu"


Workload = Work | Start


def samples_of(work: Work, samples: int) -> int:
    """Return the samples of a turn when an epoch of MNIST has `samples`: as many in proportion, in whole batches."""
    count = work.samples * samples // FULL
    if work.data == "mnist" and work.do == "fit":
        return count
    return max(count // work.batch, 1) * work.batch


def _dense(batch: int) -> Work:
    title = f"Dense network 784-128-10, Adam, batch {batch}: an epoch of MNIST, of three in a turn"
    return Work(f"mlp-{batch}", f"dense, batch {batch}", title, "mlp", "mnist", batch, FULL, 101_770, rounds=3)


def _convolutional(batch: int) -> Work:
    # A fifth of MNIST: convolutions inside a loop of plain JAX take minutes for the whole of it.
    title = f"Convolutional network (two convolutions, two dense, dropout), Adam, batch {batch}: 12,000 images of MNIST"
    label = f"convolutional, batch {batch} (12,000 images)"
    return Work(f"cnn-{batch}", label, title, "cnn", "mnist", batch, 12_000, 225_034)


MLP, CNN = _dense(32), _convolutional(128)
RESNET = Work(
    "resnet",
    "ResNet-20, batch 64",
    "ResNet-20 on images of CIFAR's shape, Adam, batch 64: 10 steps",
    "resnet",
    "images",
    64,
    10 * 64,
    272_474,
)
LSTM = Work(
    "lstm",
    "LSTM, batch 32",
    "Embedding of 10,000 words, LSTM of 128 over 200 steps, classifier, Adam, batch 32: 10 steps, of 30 in a turn",
    "lstm",
    "words",
    32,
    10 * 32,
    1_411_842,
    rounds=3,
)
GPT = Work(
    "gpt",
    "GPT, batch 8",
    "GPT of 6 layers, width 256, 4 heads, length 256, 256 tokens, Adam, batch 8: 10 steps",
    "gpt",
    "text",
    8,
    10 * 8,
    4_935_936,
)
TINY = Work(
    "tiny-layers",
    "200 tiny layers",
    "A graph of 100 dense layers of 16 and 100 additions, Adam, batch 32: 200 steps, of 600 in a turn",
    "tiny",
    "features",
    32,
    200 * 32,
    27_370,
    rounds=3,
)
TRAINED = (
    MLP,
    _dense(128),
    _dense(1024),
    _convolutional(32),
    CNN,
    RESNET,
    LSTM,
    GPT,
    TINY,
)
OTHER = (
    Work(
        "predict",
        "predict 10,000 images",
        "The scores of 10,000 images by the convolutional network, in batches of 128, three times in a turn",
        "cnn",
        "mnist",
        128,
        10_000,
        CNN.parameters,
        do="predict",
        rounds=3,
    ),
    Work(
        "answer",
        "predict one, 200 times",
        "The scores of one image by the convolutional network, asked for 200 times, of 600 in a turn",
        "cnn",
        "mnist",
        1,
        200,
        CNN.parameters,
        do="answer",
        rounds=3,
    ),
    Work(
        "memory-map",
        "4 GB memory map",
        "A linear classifier of 1,024 features, Adam, batch 1,024: one shuffled epoch over 4 GB in a memory map",
        "linear",
        "memory map",
        1024,
        1_024_000,
        10_250,
    ),
    Work(
        "generator",
        "generator, 5 ms a batch",
        "The convolutional network, Adam, batch 32: 200 steps over a Python generator that waits 5 ms for each batch",
        "cnn",
        "mnist",
        32,
        200 * 32,
        CNN.parameters,
        do="stream",
    ),
)
ON_GPU = (
    dataclasses.replace(
        CNN,
        name="gpu-cnn",
        label="convolutional, batch 128",
        title=CNN.title.partition(":")[0] + ": an epoch of MNIST",
        samples=FULL,
        device="gpu",
    ),
    Work(
        "gpu-resnet-50",
        "ResNet-50, batch 128",
        "ResNet-50 on images of 224×224, bfloat16, Adam, batch 128: 20 steps",
        "resnet-50",
        "photographs",
        128,
        20 * 128,
        25_557_032,
        tested=128,
        dtype="bfloat16",
        device="gpu",
    ),
    Work(
        "gpu-gpt",
        "GPT of 124 M, batch 8",
        "GPT of 12 layers, width 768, 12 heads, length 1,024, 50,304 tokens, bfloat16, Adam, batch 8: 20 steps",
        "gpt-124m",
        "long text",
        8,
        20 * 8,
        124_475_904,
        tested=8,
        dtype="bfloat16",
        device="gpu",
    ),
)


def _starts(work: Work) -> tuple[Start, Start]:
    work = dataclasses.replace(work, rounds=1)
    title = f"{work.title.partition(':')[0]}: from process start to the end of the first batch, "
    label = f"{work.label.partition(',')[0]}, first step"
    return (
        Start(f"{work.name}-first-step", label, title + "compile cache warm", work),
        Start(f"{work.name}-first-step-cold", f"{label}, cold", title + "compile cache empty", work, cold=True),
    )


WORKLOADS: tuple[Workload, ...] = (
    *TRAINED,
    *OTHER,
    *(start for work in (MLP, CNN, RESNET, LSTM, GPT, TINY) for start in _starts(work)),
    Start(
        "import",
        "import",
        "The import statement in a new process (kerata loads its engine when first used: see the next table)",
        statement="imports",
    ),
    Start(
        "first-op",
        "import and add",
        "The import and one addition, engine and all, in a new process",
        statement="first_op",
    ),
    *ON_GPU,
)
