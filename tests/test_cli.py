"""The command line: `kerata run` beside plain python on the same programs, and `kerata info`."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile

import pytest

import kerata
from kerata import cli

PYTHON = [sys.executable]
KERATA = [sys.executable, "-m", "kerata", "run"]


def start(command, folder, **settings):
    """Run `command` in `folder` and return (exit status, stdout, stderr)."""
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", **settings.pop("env", {})}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=environment, **settings)
    # How deep a recursion got depends on the frames around the program.
    return done.returncode, done.stdout, re.sub(r"repeated \d+ more", "repeated N more", done.stderr)


# A program sees what it sees under python ----------------------------------------------------------------------


PROGRAMS = {  # name: text; each must give the same output, errors and exit status under python and under kerata
    "what a module knows of itself": """
        '''A docstring.'''
        import sys
        print(__name__, __file__, __doc__, __package__, __spec__, __builtins__, __loader__.__class__)
        print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
    """,
    "main guard": "if __name__ == '__main__': print('main')",
    "status": "raise SystemExit(3)",
    "status by sys.exit": "import sys; sys.exit(2)",
    "status with a message": "raise SystemExit('stopped')",
    "no status": "print(1); raise SystemExit",
    "an error": """
        def inner(x):
            return 1 / x
        def outer():
            inner(0)
        outer()
    """,
    "an error with its cause": """
        def f():
            try:
                {}['k']
            except KeyError as error:
                raise ValueError('told again') from error
        f()
    """,
    "an error in handling an error": "try:\n    {}['k']\nexcept KeyError:\n    [][1]\n",
    "an error that hides another": "try:\n    {}['k']\nexcept KeyError:\n    raise ValueError('x') from None\n",
    "an error with a note": "e = ValueError('x'); e.add_note('look here'); raise e",
    "a group of errors": """
        def f():
            raise KeyError(1)
        try:
            f()
        except KeyError as error:
            raise ExceptionGroup('several', [error, ValueError(2)])
    """,
    "an error in the standard library": "import json\njson.loads('{')\n",
    "a syntax error": "print('never')\nx = = 1\n",
    "endless recursion": "def f():\n    return f()\nf()\n",
    "no such name": "print(undefined_name)",
    "no such module": "import a_module_that_is_not_there",
    "its own excepthook": """
        import sys
        sys.excepthook = lambda kind, error, traceback: print('told:', kind, error, traceback.tb_lineno)
        raise ValueError('x')
    """,
    "a module beside it": "import beside; print(beside.VALUE, beside.__name__)",
    "an error in a module beside it": "import beside; beside.fail()",
    "at exit": "import atexit; atexit.register(print, 'the end'); print('the middle')",
    "at exit after an error": "import atexit; atexit.register(print, 'the end'); raise ValueError",
    "pickles of its own classes": """
        import pickle
        class Own:
            x = 1
        print(type(pickle.loads(pickle.dumps(Own()))) is Own, Own.__module__)
    """,
    "its own source": "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))\n",
    "annotations are not strings": "def f(x: 1 + 1): pass\nprint(f.__annotations__)",
    "dataclasses": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\nprint(A())",
    "a warning": "import warnings; warnings.warn('careful')",
    "a deprecation": "import warnings; warnings.warn('old', DeprecationWarning)",
    "standard input": "print(input())",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)",
    "a thread that fails": """
        import threading
        def work():
            raise ValueError('in a thread')
        thread = threading.Thread(target=work, name='worker')
        thread.start()
        thread.join()
    """,
    "another program of its own": """
        import multiprocessing
        def double(x):
            return 2 * x
        if __name__ == '__main__':
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                print(pool.map(double, [1, 2]))
    """,
    "an encoding": "# -*- coding: latin-1 -*-\nprint(ascii('é'))\n",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7\ndef fail():\n    raise ValueError('beside')\n")
    return tmp_path


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_python_does(folder, name):
    text = textwrap.dedent(PROGRAMS[name]).lstrip()
    (folder / "program.py").write_bytes(text.encode("latin-1"))
    arguments = ["program.py", "-h", "--json", "-m", "x", "--", "-y", "a b"]
    expected = start(PYTHON + arguments, folder, input="typed\n")
    assert start(KERATA + arguments, folder, input="typed\n") == expected
    assert expected != (0, "", "")  # the case shows something


def test_status_of_an_interrupt(folder):
    (folder / "program.py").write_text("raise KeyboardInterrupt")
    assert start([*KERATA, "program.py"], folder)[0] == -signal.SIGINT


def package_files(folder):
    (folder / "pack").mkdir()
    shown = "import sys\nfrom pack import VALUE\n"
    shown += "print(__name__, __package__, __file__, __spec__.name, sys.argv, VALUE)\n"
    (folder / "pack" / "__init__.py").write_text("VALUE = 3\n")
    (folder / "pack" / "part.py").write_text(shown + "from . import VALUE as again\nprint(sys.path[0], again)\n")
    (folder / "pack" / "__main__.py").write_text(shown + "raise ValueError('x')\n")
    (folder / "empty").mkdir()
    (folder / "empty" / "__init__.py").write_text("")
    (folder / "broken").mkdir()
    (folder / "broken" / "__init__.py").write_text("import a_module_that_is_not_there\n")


@pytest.mark.parametrize("module", ["pack.part", "pack", "json.tool", "beside"])
def test_modules(folder, module):
    package_files(folder)
    arguments = ["-m", module, "-h", "-m", "y"]
    expected = start(PYTHON + arguments, folder)
    got = start(KERATA + arguments, folder)
    assert got[:2] == expected[:2]
    assert got[2] == without_runpy(expected[2])


def without_runpy(traceback):
    """Leave out the frames of Python's own module runner, which kerata does without."""
    lines = traceback.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith('  File "<frozen runpy>"'))


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["missing.py"], 2, "No such file"),
        (["-m", "missing"], 1, "no module 'missing'"),
        (["-m", "missing.part"], 1, "no module 'missing.part'"),
        (["-m", "empty"], 1, "no module 'empty'"),
        (["-m", "broken"], 1, "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        (["empty"], 1, "__main__"),
        ([], 2, "usage"),
        (["-m"], 2, "usage"),
    ],
)
def test_what_cannot_run(folder, arguments, status, words):
    package_files(folder)
    code, out, err = start(KERATA + arguments, folder)
    assert (code, out) == (status, "")
    assert words in err
    if arguments:
        assert start(PYTHON + arguments, folder, stdin=subprocess.DEVNULL)[0] == status


@pytest.mark.parametrize("kind", ["folder", "zip", "link", "absolute"])
def test_places(folder, kind):
    (folder / "app").mkdir()
    (folder / "app" / "helper.py").write_text("VALUE = 5\n")
    text = "import sys, helper\nprint(__name__, __file__, sys.argv, sys.path[0], helper.VALUE)\n1 / 0\n"
    (folder / "app" / "__main__.py").write_text(text)
    if kind == "zip":
        with zipfile.ZipFile(folder / "app.zip", "w") as archive:
            for file in (folder / "app").iterdir():
                archive.write(file, file.name)
    (folder / "link.py").symlink_to(folder / "app" / "__main__.py")
    path = {
        "folder": "app", "zip": "app.zip", "link": "link.py", "absolute": str(folder / "app" / "__main__.py"),
    }[kind]  # fmt: skip
    expected = start([*PYTHON, path, "a"], folder)
    got = start([*KERATA, path, "a"], folder)
    assert got[:2] == expected[:2]
    assert got[2] == without_runpy(expected[2])


def test_safe_path(folder):
    (folder / "program.py").write_text("import sys; print(sys.path)")
    expected = start([*PYTHON, "-P", "program.py"], folder)
    assert start([sys.executable, "-P", "-m", "kerata", "run", "program.py"], folder) == expected


def test_the_command_is_installed(folder):
    (folder / "program.py").write_text("import sys, keras, beside; print(keras.__name__, sys.path[0], sys.argv)")
    command = os.path.join(os.path.dirname(sys.executable), "kerata")
    if not os.path.exists(command):
        pytest.skip("kerata is on the path here without being installed")
    assert start([command, "run", "program.py", "x"], folder) == (0, f"keras {folder} ['program.py', 'x']\n", "")


# The alias and the errors --------------------------------------------------------------------------------------


def test_keras_is_kerata(folder):
    (folder / "program.py").write_text(
        "import keras, tensorflow as tf, kerata.layers\n"
        "from tensorflow.keras.layers import Dense\n"
        "print(keras.layers is tf.keras.layers is kerata.layers, Dense is kerata.layers.Dense)\n"
    )
    assert start([*KERATA, "program.py"], folder) == (0, "True True\n", "")


def test_the_engine_can_be_chosen_inside(folder):
    """Nothing reads the settings before the program has had its first lines."""
    (folder / "program.py").write_text(
        "import os\n"
        "os.environ['KERATA_FLOATX'] = 'float64'\n"
        "import sys\n"
        "print([m for m in ('numpy', 'jax', 'torch', 'kerata.config') if m in sys.modules])\n"
        "import keras\n"
        "print(keras.config.floatx())\n"
    )
    assert start([*KERATA, "program.py"], folder) == (0, "[]\nfloat64\n", "")


ERRORS = {  # program: what the traceback shows, whole
    "import keras\n\nkeras.layers.Dense(-1)\n": [("program.py", 3)],
    "import keras\ndef make():\n    return keras.layers.Dense(4, activation='rellu')\nmake()\n": [
        ("program.py", 4), ("program.py", 3),
    ],
    "from keras.src.layers import Dense\n": [("program.py", 1)],
    "import tensorflow as tf\ntf.image.resize\n": [("program.py", 2)],
    "from keras import Sequentail\n": [("program.py", 1)],
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_only_the_users_frames(folder, text):
    (folder / "program.py").write_text(text)
    status, out, err = start([*KERATA, "program.py"], folder)
    frames = [line for line in err.splitlines() if line.startswith("  File ")]
    wanted = [f'  File "{folder / file}", line {line}, in' for file, line in ERRORS[text]]
    assert (status, out) == (1, "")
    assert [frame[: len(start)] for frame, start in zip(frames, wanted)] == wanted
    assert len(frames) == len(wanted)
    assert "\nkerata." in err  # the class of the error, by its full name


def test_a_folder_may_be_called_as_an_engine(folder):
    (folder / "jax").mkdir()
    (folder / "jax" / "program.py").write_text("raise ValueError('x')\n")
    _, _, err = start([*KERATA, os.path.join("jax", "program.py")], folder)
    assert f'  File "{folder / "jax" / "program.py"}", line 1, in <module>\n' in err


def test_internal_frames_on_request(folder):
    (folder / "program.py").write_text("import keras\nkeras.layers.Dense(-1)\n")
    status, _, err = start([*KERATA, "program.py"], folder, env={"KERATA_INTERNAL_FRAMES": "1"})
    assert status == 1
    assert os.path.join("kerata", "layers", "") in err


# info, help, version -------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    return {"KERATA_HOME": str(tmp_path / "home"), "KERATA_CACHE": ""}


def test_info_as_json(tmp_path, home):
    status, out, err = start([sys.executable, "-m", "kerata", "info", "--json"], tmp_path, env=home)
    assert (status, err) == (0, "")
    facts = json.loads(out)
    assert facts["kerata"] == kerata.__version__
    assert facts["engine"] in facts["settings"]["engine"]
    assert facts["devices"]
    assert facts["cpus"] >= 1
    assert facts["numpy"][0].isdigit()
    assert facts["data_folder"] == str(tmp_path / "home" / "datasets")
    assert facts["settings_file"] == str(tmp_path / "home" / "kerata.json")
    assert facts["settings_file_exists"] is False


def test_info_as_lines(tmp_path, home):
    status, out, err = start([sys.executable, "-m", "kerata", "info"], tmp_path, env=home)
    assert (status, err) == (0, "")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert lines["kerata"].strip() == kerata.__version__
    assert {"engine", "devices", "python", "numpy", "platform", "cpus"} <= {name.strip() for name in lines}
    assert "not there" in lines["settings file"]


def test_info_as_a_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "│" in out
    assert kerata.__version__ in out


def test_info_of_a_wrong_settings_file(tmp_path, home):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kerata.json").write_text('{"engin": "jax"}')
    status, out, err = start([sys.executable, "-m", "kerata", "info"], tmp_path, env=home)
    assert (status, out) == (1, "")
    assert "kerata.json" in err
    assert "'engine'" in err
    assert "Traceback" not in err


def test_info_of_an_engine_that_does_not_work(tmp_path, home):
    (tmp_path / "jax.py").write_text("raise ImportError('jax is broken here')")
    environment = {**home, "PYTHONPATH": str(tmp_path), "KERATA_ENGINE": "jax"}
    status, out, _ = start([sys.executable, "-m", "kerata", "info"], tmp_path, env=environment)
    assert status == 0
    assert "jax is broken here" in out
    assert "cpus" in out


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"kerata {kerata.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["info", "--help"], ["--version"]])
def test_quick_words_load_no_engine(tmp_path, arguments):
    program = (
        "import sys\nfrom kerata import cli\n"
        f"try:\n    cli.main({arguments})\nexcept SystemExit:\n    pass\n"
        "heavy = [m for m in ('jax', 'numpy', 'torch', 'rich', 'h5py') if m in sys.modules]\n"
        "raise SystemExit(str(heavy) if heavy else 0)\n"
    )
    status, out, err = start([sys.executable, "-c", program], tmp_path)
    assert (status, err) == (0, "")
    assert out


@pytest.mark.parametrize("arguments", [[], ["walk"], ["info", "--yaml"]])
def test_wrong_arguments(capsys, arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: kerata" in capsys.readouterr().err
