"""The benchmark harness, on a framework that only pretends to train: order, isolation, failures, tables. No timing."""

import dataclasses
import json
import os
import types

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import data, floor, harness, process, report, worker
from benchmarks.contenders import CONTENDERS, Contender, versions
from benchmarks.workloads import WORKLOADS, Start, Work, samples_of

# Trains by writing its name into a file; BEHAVIOUR says what goes wrong.
FRAMEWORK = """
import os, time
import numpy as np
name, journal, behaviour = (os.environ[key] for key in ("NAME", "JOURNAL", "BEHAVIOUR"))

class Training:
    def __init__(self, work, x, y):
        print("a banner on stdout")
        os.system("echo a banner from a child")
        self.parameters = 7 if behaviour != "other model" else 8
        assert x.shape[1:] == (28, 28, 1) and len(x) in (8, 16), x.shape
        assert x.dtype == "float32" and x.max() == 1 and y.dtype == "int32"

    def stream(self, batches):
        assert [len(x) for x, y in batches] == [len(x) for x, y in batches] == [8, 8]
        return self.epochs(1)

    def epochs(self, count):
        with open(journal, "a") as file:
            file.write(name * count)
        if behaviour == "raises":
            raise ValueError("no such layer")
        if behaviour == "dies":
            os.write(2, b"out of luck")
            os._exit(3)
        if behaviour == "hangs":
            time.sleep(60)
        return {"loss": 0.5, "accuracy": 0.25}

    def predict(self, x):
        with open(journal, "a") as file:
            file.write(str(len(x)))
        return np.eye(10)[np.zeros(len(x), "int")]
"""

EPOCH = Work("fake", "fake, epoch", "A fake epoch", "cnn", "mnist", batch=8, samples=60_000, parameters=7)
SETTINGS = harness.Settings(repeats=2, samples=16, test_samples=25, rest=0, limit=60)


@pytest.fixture
def contender(tmp_path):
    (tmp_path / "fake_framework.py").write_text(FRAMEWORK)

    def make(name, behaviour="works", packages=("json",)):
        environment = {
            "PYTHONPATH": str(tmp_path),
            "NAME": name,
            "JOURNAL": str(tmp_path / "journal"),
            "BEHAVIOUR": behaviour,
        }
        return Contender(name, "fake_framework", packages, "import json", "import json; json.dumps(1)", environment)

    return make


def test_turns_go_round_and_the_first_moves_on(contender, tmp_path):
    results = harness.run(EPOCH, [contender(name) for name in "abc"], SETTINGS, tmp_path)
    assert (tmp_path / "journal").read_text() == "abc" + "bca" + "cab" + 3 * "16"
    assert [result.contender for result in results] == ["a", "b", "c"]
    for result in results:
        assert (len(result.seconds), result.loss, result.test_accuracy, result.note) == (2, 0.5, 3 / 16, "")
        assert result.peak_megabytes and result.peak_megabytes > 10
        assert result.warmup is not None and result.median == sum(result.seconds) / 2


def test_a_turn_of_several_rounds_tells_the_seconds_of_one(contender, tmp_path, monkeypatch):
    rounds = dataclasses.replace(EPOCH, rounds=4)
    harness.run(rounds, [contender("a")], dataclasses.replace(SETTINGS, repeats=1), tmp_path)
    assert (tmp_path / "journal").read_text() == 2 * "aaaa" + "16"
    clock = types.SimpleNamespace(perf_counter=iter([10.0, 18.0]).__next__, process_time=iter([1.0, 13.0]).__next__)
    monkeypatch.setattr(worker, "time", clock)
    one = worker.Worker("a framework")
    one.work, one.training = rounds, types.SimpleNamespace(epochs=lambda count: {"loss": count})
    assert one.turn() == {"seconds": 2, "cpu_seconds": 12, "loss": 4}  # the share of others is of the whole turn


KINDS = [("fit", 2, "aaa16"), ("stream", 2, "aaa16"), ("predict", 0, 3 * "16"), ("answer", 0, 3 * 16 * "1")]


@pytest.mark.parametrize(("do", "learned", "journal"), KINDS, ids=[row[0] for row in KINDS])
def test_what_a_turn_does(contender, tmp_path, do, learned, journal):
    (result,) = harness.run(dataclasses.replace(EPOCH, do=do), [contender("a")], SETTINGS, tmp_path)
    assert (result.note, len(result.seconds)) == ("", 2)
    assert sum(part is not None for part in (result.loss, result.test_accuracy)) == learned
    assert (tmp_path / "journal").read_text() == journal


FAILURES = [
    ("raises", "failed: ValueError: no such layer"),
    ("dies", "failed: the process ended with status 3: out of luck"),
    ("other model", "failed: the model has 8 weights; the workload says 7"),
]


@pytest.mark.parametrize(("behaviour", "note"), FAILURES, ids=[row[0] for row in FAILURES])
def test_one_failure_stops_nobody_else(contender, tmp_path, behaviour, note):
    bad, good = harness.run(EPOCH, [contender("bad", behaviour), contender("good")], SETTINGS, tmp_path)
    assert (bad.note, bad.seconds, bad.median) == (note, [], None)
    assert (good.note, len(good.seconds)) == ("", 2)


def test_a_process_that_hangs_is_ended(contender, tmp_path):
    hanging = process.Process(contender("slow", "hangs"), tmp_path, limit=60)
    harness._prepare(hanging, EPOCH, harness._data(EPOCH, SETTINGS, tmp_path))
    hanging.limit = 0.2
    with pytest.raises(process.Failed, match="status -9"):
        hanging.ask("turn")
    hanging.close()
    assert hanging.process.returncode == -9


def test_a_missing_framework_is_named(contender, tmp_path):
    (result,) = harness.run(EPOCH, [contender("absent", packages=("json", "no_such_package"))], SETTINGS, tmp_path)
    assert result.note == "not installed: no_such_package"
    assert not (tmp_path / "journal").exists()


STARTS = [
    (Start("first-step", "first", "The first step", work=EPOCH), "aaa"),
    (Start("first-step-cold", "cold", "The first step", work=EPOCH, cold=True), "aaa"),
    (Start("import", "import", "The import", statement="imports"), ""),
    (Start("first-op", "operation", "The first operation", statement="first_op"), ""),
]


@pytest.mark.parametrize(("start", "journal"), STARTS, ids=[row[0].name for row in STARTS])
def test_starts_take_a_new_process_each_turn(contender, tmp_path, start, journal):
    (tmp_path / "journal").write_text("")
    (result,) = harness.run(start, [contender("a")], SETTINGS, tmp_path)
    assert (result.note, len(result.seconds)) == ("", 2)
    assert min(result.seconds) > 0
    assert (tmp_path / "journal").read_text() == journal


def test_a_failing_import_is_reported(contender, tmp_path):
    row = contender("a")
    row = Contender(row.name, row.module, row.packages, "import json.no_such_part", "", row.environment)
    (result,) = harness.run(Start("import", "import", "The import", statement="imports"), [row], SETTINGS, tmp_path)
    assert result.note.startswith("failed: ModuleNotFoundError: No module named 'json.no_such_part'")


def test_every_contender_finds_the_same_environment(monkeypatch, tmp_path):
    for name in ("OMP_NUM_THREADS", "XLA_FLAGS", "KERAS_BACKEND", "KERATA_ENGINE", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.setenv(name, "set by the caller")
    for device, platforms in {"cpu": "cpu", "gpu": "cuda,cpu"}.items():
        seen = [process.environment(row, tmp_path, device) for row in CONTENDERS]
        common = [{k: v for k, v in env.items() if k not in row.environment} for row, env in zip(CONTENDERS, seen)]
        assert all(env == common[0] for env in common)
        assert not any("set by the caller" in env.values() for env in seen)
        assert all(env["JAX_PLATFORMS"] == platforms and env["PATH"] == os.environ["PATH"] for env in seen)
    own = {key for row in CONTENDERS for key in row.environment}
    assert own == {"BENCHMARK_KERAS", "KERAS_BACKEND"}  # a contender may not tune itself through its environment


# Tables ---------------------------------------------------------------------------------------------------------

MACHINE = {
    "cpu": "A processor", "cores": 2, "memory_gib": 8.0, "system": "Linux x86_64", "python": "3.11.7",
}  # fmt: skip
MEASURED = [
    report.Row(
        EPOCH,
        [
            harness.Result("kerata", [2.0, 1.0, 4.0], [0.0, 0.5, 0.01], 9.0, 0.25, 800.0, test_accuracy=0.975),
            harness.Result("other", [8.0, 5.0, 30.0], [], warmup=10.0, loss=0.5, test_accuracy=0.9),
            harness.Result("absent", note="not installed: other_package"),
        ],
        SETTINGS,
        floor.Floor(10**9, 10**6, 10**5, 2e9, 1e9, 1e10),
        "2026-11-21 12:00 UTC",
        0.1,
    )
]
MARKDOWN = """\
| median seconds           | kerata |        other |        absent |
|:-------------------------|-------:|-------------:|--------------:|
| fake, epoch (16 samples) |   2.00 | 8.00 (4.00×) | not installed |

A processor, 2 cores, 8.0 GiB, Linux x86_64, Python 3.11.7; jax 0.10.2. Each framework in a process of its own with \
the same environment, on the CPU, one at work at a time, turn by turn.

### A fake epoch

|        | median s | fastest | slowest | times kerata | turns | warm-up s | other load | ms a batch | peak MB | \
of the floor | last loss | test accuracy |
|:-------|---------:|--------:|--------:|-------------:|------:|----------:|-----------:|-----------:|--------:|-\
------------:|----------:|--------------:|
| kerata |     2.00 |    1.00 |    4.00 |        1.00× |     3 |      9.00 |         1% |     1000.0 |     800 | \
         50% |     0.250 |         0.975 |
| other  |     8.00 |    5.00 |    30.0 |        4.00× |     3 |      10.0 |          – |     4000.0 |       – | \
         12% |     0.500 |         0.900 |
| absent |        – |       – |       – |            – |     0 |         – |          – |          – |       – | \
           – |         – |             – |

Medians of 2 turns after a warm-up; 16 samples. 2026-11-21 12:00 UTC, load average before the start: 0.1.

The floor is 500 ms for each of 2 batches: 1 billion operations, 1 MB of samples and 0.1 MB of state; this \
machine multiplies at 2 billion operations a second, and copies such samples at 1.0 GB a second and such state at 10.0.

- absent: not installed: other_package
"""


def test_the_tables_show_what_was_measured():
    assert report.as_markdown(MEASURED, MACHINE, {"jax": "0.10.2"}) == MARKDOWN


def test_the_tables_of_a_gpu_name_it(monkeypatch):
    def nvidia_smi(command, **settings):
        assert command[0] == "nvidia-smi" and settings["check"]
        return types.SimpleNamespace(stdout="NVIDIA H200, 580.159.03\n")

    monkeypatch.setattr(report.subprocess, "run", nvidia_smi)
    machine = report.machine("gpu")
    assert machine.pop("gpu") == "NVIDIA H200, driver 580.159.03" and machine == report.machine()
    text = report.as_markdown(MEASURED, {**MACHINE, "gpu": "NVIDIA H200, driver 580.159.03"}, {"jax": "0.10.2"})
    assert "\nNVIDIA H200, driver 580.159.03; A processor, 2 cores" in text and "on the GPU, one at work" in text


def test_without_a_gpu_there_is_no_table_of_one(monkeypatch):
    def absent(*command, **settings):
        raise FileNotFoundError(2, "No such file or directory", "nvidia-smi")

    monkeypatch.setattr(report.subprocess, "run", absent)
    with pytest.raises(SystemExit, match="nvidia-smi names no GPU: .*No such file"):
        command.main(["--device", "gpu"])


def test_the_json_holds_every_turn():
    numbers = json.loads(json.dumps(report.as_json(MEASURED, MACHINE, {"jax": "0.10.2"})))
    kerata, other, absent = numbers["workloads"][0]["results"]
    assert (kerata["seconds"], kerata["median"], kerata["ratio"]) == ([2.0, 1.0, 4.0], 2.0, 1.0)
    assert (other["ratio"], absent["median"], absent["ratio"]) == (4.0, None, None)
    assert numbers["machine"] == MACHINE


def test_rows_of_an_earlier_run_stay(tmp_path):
    measured = [dataclasses.replace(MEASURED[0], workload=WORKLOADS[0])]
    file, versions = tmp_path / "results.json", {"jax": "0.10.2", "torch": "2.13.0"}
    assert report.read(file, MACHINE, versions) == {}
    file.write_text(json.dumps(report.as_json(measured, MACHINE, versions)))
    assert report.read(file, MACHINE, {"jax": "0.10.2"}) == {WORKLOADS[0].name: measured[0]}
    assert report.read(file, MACHINE, {"jax": "0.10.3"}) == {}
    assert report.read(file, {**MACHINE, "cores": 4}, versions) == {}


# The real rows --------------------------------------------------------------------------------------------------


def test_the_command_line_runs_a_real_row(tmp_path, capsys):
    files = {"--json": tmp_path / "r.json", "--markdown": tmp_path / "r.md"}
    arguments = [str(part) for pair in files.items() for part in pair]
    status = command.main(["--quick", "--repeats", "1", "--workload", "import", "--contender", "kerata", *arguments])
    assert status == 0
    assert files["--markdown"].read_text() in capsys.readouterr().out
    (row,) = json.loads(files["--json"].read_text())["workloads"]
    assert (row["name"], len(row["results"][0]["seconds"])) == ("import", 1)


def test_floors_are_measured_again_beside_the_times_that_there_are(tmp_path, monkeypatch, capsys):
    file, command_line = tmp_path / "r.json", ["--floor", "--quick", "--workload", "mlp-32", "import", "--json"]
    assert command.main([*command_line, str(file)]) == 1
    assert "no times to measure the floor of" in capsys.readouterr().err
    (mlp,) = [row for row in WORKLOADS if row.name == "mlp-32"]
    rows = [dataclasses.replace(MEASURED[0], workload=mlp)]
    file.write_text(json.dumps(report.as_json(rows, report.machine(), versions(CONTENDERS))))
    before = json.loads(file.read_text())["workloads"][0]
    least = dataclasses.replace(MEASURED[0].floor, operations_per_second=1e9)
    monkeypatch.setattr(floor, "measure", lambda *given: least)
    assert command.main([*command_line, str(file)]) == 0
    (after,) = json.loads(file.read_text())["workloads"]
    assert after["floor"] == dataclasses.asdict(least) != before["floor"]
    assert [result["seconds"] for result in after["results"]] == [result["seconds"] for result in before["results"]]
    assert after["date"] == before["date"]


OPTIONS = [
    ([], (5, 60_000, "results.json", "results.md")),
    (["--quick"], (3, 4096, None, None)),
    (["--quick", "--repeats", "7", "--samples", "64", "--json", "x.json"], (7, 64, "x.json", None)),
    (["--device", "gpu"], (5, 60_000, "gpu.json", "gpu.md")),
]


@pytest.mark.parametrize(("arguments", "expected"), OPTIONS)
def test_options(arguments, expected):
    chosen = command.options(arguments)
    files = [file and file.name for file in (chosen.json, chosen.markdown)]
    assert (chosen.repeats, chosen.samples, *files) == expected


def test_each_device_has_its_rows_and_contenders(capsys):
    cpu, gpu = command.options([]), command.options(["--device", "gpu"])
    assert gpu.workload == ["gpu-cnn", "gpu-resnet-50", "gpu-gpt"] and not set(cpu.workload) & set(gpu.workload)
    assert gpu.contender == ["kerata", "kerata (torch)", "PyTorch (compiled)", "JAX"]
    assert cpu.contender == [row.name for row in CONTENDERS]
    with pytest.raises(SystemExit):
        command.options(["--workload", "gpu-gpt"])
    assert "not for --device cpu: gpu-gpt; there are: mlp-32," in capsys.readouterr().err


NAMES = [row.name for row in WORKLOADS]


def test_each_row_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES) == 30


SIZES = [("mlp-1024", 60_000, 60_000), ("mlp-1024", 100, 100), ("resnet", 60_000, 640), ("resnet", 4096, 64),
         ("answer", 4096, 13), ("memory-map", 60_000, 1_024_000), ("generator", 30_000, 3200)]  # fmt: skip


@pytest.mark.parametrize(("name", "samples", "expected"), SIZES)
def test_samples_in_proportion(name, samples, expected):
    assert samples_of(_work(name), samples) == expected


def _work(name):
    return next(row for row in WORKLOADS if row.name == name)


DATA = [  # the shape and dtype of samples, the shape of labels, and how many classes there are
    ("mlp-32", (784,), "float32", (), 10), ("cnn-128", (28, 28, 1), "float32", (), 10),
    ("resnet", (32, 32, 3), "float32", (), 10), ("lstm", (200,), "int32", (), 2), ("gpt", (256,), "int32", (256,), 256),
    ("tiny-layers", (16,), "float32", (), 10), ("memory-map", (1024,), "float32", (), 1),
    ("gpu-resnet-50", (224, 224, 3), "float32", (), 10), ("gpu-gpt", (1024,), "int32", (1024,), 50_304),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "dtype", "labels", "classes"), DATA, ids=[row[0] for row in DATA])
def test_data(tmp_path, name, shape, dtype, labels, classes):
    place = data.write(tmp_path, _work(name), 40, 20)
    assert data.write(tmp_path, _work(name), 40, 20) == place
    x, y = data.read(place, "train", _work(name))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((40, *shape), dtype, (40, *labels), "int32")
    assert set(np.unique(y)) <= set(range(classes)) and isinstance(x, np.memmap) == (name == "memory-map")
    other, _ = data.read(place, "test", _work(name))
    assert len(other) == 20 and (name == "memory-map" or not np.array_equal(x[:20], other))


def test_mnist_is_read_from_its_beginning(tmp_path):
    x, y = data.read(data.write(tmp_path, _work("mlp-32"), 5, 3), "train", _work("mlp-32"))
    assert (y.tolist(), x.min(), x.max()) == ([5, 0, 4, 1, 9], 0, 1)


def test_a_memory_map_takes_no_room(tmp_path):
    place = data.write(tmp_path, _work("memory-map"), 100_000, 1)
    file = (tmp_path / place / "x_train.npy").stat()
    assert file.st_size > 400e6 and file.st_blocks * 512 < 1e6


def test_the_floor_is_the_larger_of_its_parts():
    least = floor.Floor(10, 3, 6, operations_per_second=5.0, sample_bytes_per_second=1.0, state_bytes_per_second=2.0)
    assert least.seconds(2.5) == 15.0
    assert dataclasses.replace(least, sample_bytes=0, state_bytes=0).seconds(2.5) == 5.0
    assert dataclasses.replace(least, wait=8.0).seconds(2.5) == 20.0
    assert floor.multiplying(64, 1) > 1e6 < floor.copying(2**16, 2, 1)
    assert min(floor.on_device("bfloat16", size=64, repeats=1)) > 1e6


def test_the_memory_of_a_gpu_is_told_by_who_computed(monkeypatch):
    def pretend(**modules):
        for name in ("torch", "jax"):
            monkeypatch.setitem(worker.sys.modules, name, modules.get(name))
        return worker._peak_on_gpu()

    def torch(begun):
        cuda = types.SimpleNamespace(is_initialized=lambda: begun, max_memory_allocated=lambda: 3_000_000)
        return types.SimpleNamespace(cuda=cuda)

    def jax(statistics):
        return types.SimpleNamespace(local_devices=lambda: [types.SimpleNamespace(memory_stats=lambda: statistics)])

    peak = {"peak_bytes_in_use": 5_000_000}
    assert pretend(torch=torch(True)) == 3 and pretend(torch=torch(False), jax=jax(peak)) == pretend(jax=jax(peak)) == 5
    assert pretend(jax=jax(None)) is pretend() is None


@pytest.mark.parametrize("name", ["gpu-resnet-50", "gpu-gpt"])
def test_the_large_models_are_of_one_size(name, monkeypatch):
    import torch

    monkeypatch.setenv("BENCHMARK_KERAS", "kerata")
    from benchmarks.frameworks import keras_like, torch_plain

    work = _work(name)
    with torch.device("meta"):
        theirs = torch_plain.MODELS[work.model]()
    assert sum(weight.numel() for weight in theirs.parameters()) == work.parameters
    ours = keras_like.MODELS[work.model]()
    assert sum(int(np.prod(weight.shape)) for weight in ours.trainable_variables) == work.parameters
