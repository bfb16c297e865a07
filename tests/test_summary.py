"""`model.summary` in its three forms, displays in notebooks, and `kerata summary FILE`."""

import html.parser
import subprocess
import sys
import types

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import kerata
from kerata import cli, errors, layers
from kerata.models.tables import Named, Row, Table

VOID = {"br"}


class Tree(html.parser.HTMLParser):
    """Reads HTML strictly: every tag is closed, in order. `rows` are the texts of the cells."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.tags = [], [], set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def model():
    """Two ways, an op between, a frozen model inside with awkward names, and batch statistics."""
    kerata.utils.clear_session()  # which numbers the names anew
    inner = kerata.Sequential(
        [kerata.Input((8,)), layers.Dense(4, name="<lambda>"), layers.BatchNormalization(name="a|b_")], name="in_`ner"
    )
    inner.trainable = False
    a = kerata.Input((8,), name="a")
    x = kerata.ops.relu(layers.Dense(4, name="dense")(a) + inner(a))
    return kerata.Model(a, layers.Dense(1, name="end")(x), name="small")


MARKDOWN = """\
**Model** `small` (Functional)

| Layer (type)                   | Output shape | Parameters | Connected to     | Trainable |
| ------------------------------ | ------------ | ---------: | ---------------- | --------- |
| `a` (InputLayer)               | (None, 8)    |          0 | –                | –         |
| `dense` (Dense)                | (None, 4)    |         36 | a                | yes       |
| ``in_`ner`` (Sequential)       | (None, 4)    |         52 | a                | no        |
| └ `<lambda>` (Dense)           | (None, 4)    |         36 |                  | no        |
| └ `a\\|b_` (BatchNormalization) | (None, 4)    |         16 |                  | no        |
| `add` (add)                    | (None, 4)    |          0 | dense, in\\_\\`ner | –         |
| `relu` (relu)                  | (None, 4)    |          0 | add              | –         |
| `end` (Dense)                  | (None, 1)    |          5 | relu             | yes       |

- All parameters: 93 (372 B)
- Trainable parameters: 41 (164 B)
- Not trainable parameters: 52 (208 B)
"""


def cells_of(markdown):
    """Return the cells of a table in Markdown; a bar after a backslash divides nothing."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")] for line in lines]
    return [[cell.replace("\0", "|") for cell in row] for row in rows]


def test_markdown(model):
    text = model.summary(expand_nested=True, format="markdown")
    assert text == MARKDOWN
    assert text._repr_markdown_() == text


def test_html(model):
    text = model.summary(expand_nested=True, format="html")
    tree = Tree(text)
    assert tree.tags == {"p", "b", "code", "table", "thead", "tbody", "tr", "th", "td", "br"}
    assert tree.rows[0] == ["Layer (type)", "Output shape", "Parameters", "Connected to", "Trainable"]
    assert tree.rows[3:6] == [
        ["in_`ner (Sequential)", "(None, 4)", "52", "a", "no"],
        ["└ <lambda> (Dense)", "(None, 4)", "36", "", "no"],
        ["└ a|b_ (BatchNormalization)", "(None, 4)", "16", "", "no"],
    ]
    assert text._repr_html_() == text
    assert Tree(model._repr_html_()).rows == [row for row in tree.rows if not row[0].startswith("└")]

    class Empty(kerata.Model):
        pass

    Tree(Empty(name="<empty>")._repr_html_())


def test_text_is_as_wide_as_the_terminal(model, capsys, monkeypatch):
    for columns in ("120", "60"):
        monkeypatch.setenv("COLUMNS", columns)
        assert model.summary(expand_nested=True) is None
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= int(columns)
        assert "Model: 'small'" in out
        assert ("<lambda> (Dense)" in out) == (columns == "120")
    model.summary(line_length=50)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 50
    taken = []
    assert model.summary(print_fn=taken.append, format="markdown") is None
    assert taken[0].startswith("**Model** `small`")
    assert capsys.readouterr().out == ""


def test_which_layers_learn(model):
    def column(*arguments, **more):
        rows = cells_of(arguments[0].summary(format="markdown", **more))
        return [row[-1] for row in rows[2:]] if rows[0][-1] == "Trainable" else None

    plain = kerata.Sequential([kerata.Input((2,)), layers.Dense(2), layers.BatchNormalization(), layers.Dropout(0.1)])
    assert column(plain) is None
    assert column(plain, show_trainable=True) == ["yes", "yes", "–"]
    outer = kerata.Sequential([kerata.Input((2,)), plain])
    plain.layers[0].trainable = False
    assert column(plain) == ["no", "yes", "–"]
    assert column(outer) == ["partly"]


def test_ranges_and_formats(model):
    rows = cells_of(model.summary(layer_range=["dense", "add"], format="markdown"))
    assert [row[0].partition(" ")[0] for row in rows[2:]] == ["`dense`", "``in_`ner``", "`add`"]
    with pytest.raises(errors.UnknownName, match="did you mean 'markdown'"):
        model.summary(format="markdwn")
    with pytest.raises(errors.UnknownName, match="layer_range"):
        model.summary(layer_range=["dense", "nothing"])


def test_tables_lose_nothing():
    wide = "x" * 300
    odd = "a_b _c_ *d* [e](f) <g>\nh|"
    table = Table("File", Named("a_b*c"), ["Name", "_it_", "N"], [Row([Named(wide), odd, "1"])])
    assert cells_of(table.markdown())[2] == [f"`{wide}`", r"a_b \_c\_ \*d\* \[e\](f) \<g\> h" + "|", "1"]
    assert Tree(table.html()).rows[1] == [wide, odd, "1"]
    text = table.text(line_length=60)
    assert text.count("x") == 300


# Notebooks -----------------------------------------------------------------------------------------------------


def test_drawings_of_models_show_themselves(model, tmp_path, monkeypatch):
    shown = types.SimpleNamespace(SVG=lambda filename: ("svg", filename), Image=lambda filename: ("image", filename))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=shown))
    monkeypatch.setattr("shutil.which", lambda name: None)
    path = str(tmp_path / "model.svg")
    assert kerata.utils.plot_model(model, path, show_shapes=True, expand_nested=True) == ("svg", path)
    drawn = (tmp_path / "model.svg").read_text()
    assert "(None, 8)" in drawn and "&lt;lambda&gt;" not in drawn
    kerata.utils.plot_model(model, path, show_layer_names=True, expand_nested=True)
    assert "&lt;lambda&gt; (Dense)" in (tmp_path / "model.svg").read_text()


# kerata summary FILE -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("files")
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    arrays = {"w": np.ones((2, 3), "float32"), "n/a": np.arange(4, dtype="int8"), "b": np.ones(5, ml_dtypes.bfloat16)}
    save_file(arrays, folder / "some.safetensors")
    np.savez(folder / "some.npz", w=arrays["w"], **{"n/a": arrays["n/a"]})
    with h5py.File(folder / "some.h5", "w") as file:
        file["n/a"] = arrays["n/a"]
        file["w"] = arrays["w"]
        file["again"] = file["n"]  # the same group by another name
        file["n/round"] = file["/"]  # and a ring
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/")
    for name in ("model.keras", "model.weights.h5", "some.safetensors", "some.npz"):
        whole = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(whole[: len(whole) // 2])
    (folder / "text.txt").write_text("hello")
    (folder / "empty.keras").write_bytes(b"")
    (folder / "folder.keras").mkdir()

    class Own(layers.Layer):
        def call(self, x):
            return x

    kerata.Sequential([kerata.Input((2,)), Own(), layers.Dense(1)]).save(folder / "own.keras")
    return folder


def run(capsys, *arguments):
    status = cli.main(["summary", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_models_in_files(files, model, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    status, out, err = run(capsys, files / "model.keras")
    assert (status, err) == (0, "")
    model.summary()
    assert out == capsys.readouterr().out
    status, out, _ = run(capsys, files / "model.keras", "--format", "markdown", "--expand")
    assert (status, out) == (0, model.summary(format="markdown", expand_nested=True))
    status, out, _ = run(capsys, files / "model.keras", "--format", "html")
    assert (status, out) == (0, model.summary(format="html"))


ARRAYS = [  # file, rows, what the last line begins with
    ("some.safetensors", {("`w`", "(2, 3)", "float32", "6", "24 B"), ("`n/a`", "(4,)", "int8", "4", "4 B"),
                          ("`b`", "(5,)", "bfloat16", "5", "10 B")}, "- 3 arrays, 15 numbers (38 B)"),
    ("some.npz", {("`w`", "(2, 3)", "float32", "6", "24 B"), ("`n/a`", "(4,)", "int8", "4", "4 B")},
     "- 2 arrays, 10 numbers (28 B)"),
    ("some.h5", {("`w`", "(2, 3)", "float32", "6", "24 B"), ("`n/a`", "(4,)", "int8", "4", "4 B"),
                 ("`again/a`", "(4,)", "int8", "4", "4 B")}, "- 3 arrays"),
]  # fmt: skip


@pytest.mark.parametrize("name, rows, end", ARRAYS, ids=[name for name, *_ in ARRAYS])
def test_arrays_in_files(files, capsys, name, rows, end):
    status, out, err = run(capsys, files / name, "--format", "markdown")
    assert (status, err) == (0, "")
    assert cells_of(out)[0] == ["Array", "Shape", "Dtype", "Numbers", "Size"]
    assert {tuple(row) for row in cells_of(out)[2:]} >= rows
    if name != "some.h5":
        assert len(cells_of(out)) == 2 + len(rows)
        assert out.splitlines()[-1].startswith(end)


def test_weights_of_models(files, model, capsys):
    _, weights, _ = run(capsys, files / "model.weights.h5", "--format", "markdown")
    _, inside, _ = run(capsys, files / "model.keras", "--arrays", "--format", "markdown")
    assert cells_of(weights) == cells_of(inside)
    shapes = sorted(str(tuple(w.shape)) for w in model.weights)
    assert sorted(row[1] for row in cells_of(weights)[2:]) == shapes


def test_a_model_of_classes_that_only_its_program_knows(files, capsys):
    status, out, err = run(capsys, files / "own.keras")
    assert status == 0
    assert "Own" in err and "arrays alone" in err
    assert "(2, 1)" in out


WRONG = [  # file, a word of the message
    ("nothing.keras", "no such file"), ("cut_model.keras", "cut"), ("cut_model.weights.h5", "cut"),
    ("cut_some.safetensors", "cut"), ("cut_some.npz", "damaged"), ("text.txt", "no file of a model"),
    ("empty.keras", "cut"), ("folder.keras", "folder"),
]  # fmt: skip


@pytest.mark.parametrize("name, word", WRONG)
def test_wrong_files(files, capsys, name, word):
    status, out, err = run(capsys, files / name)
    assert (status, out) == (2, "")
    assert err.startswith(f"kerata summary: {files / name}: ")
    assert word in err
    assert "Traceback" not in err and len(err.splitlines()) <= 4


def test_quick_help():
    program = (
        "import sys\nfrom kerata import cli\ntry:\n    cli.main(['summary', '--help'])\nexcept SystemExit:\n    pass\n"
        "raise SystemExit(str([m for m in ('jax', 'numpy', 'rich', 'h5py') if m in sys.modules] or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kerata summary" in done.stdout
