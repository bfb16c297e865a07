"""Lines of code on each floor: `python -m benchmarks.size`. Blank lines, comments and docstrings are not counted."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

FLOORS = {
    "doors": (
        "cli", "compat", "datasets", "__main__.py", "__init__.py", "backend.py", "legacy", "mixed_precision.py",
        "preprocessing", "visualization", "wrappers",
    ),
    "models, saving, export": ("models", "saving", "export"),
    "training, callbacks, data": ("training", "callbacks", "data"),
    "layers": ("layers",),
    "losses, metrics, optimizers": ("losses", "metrics", "optimizers"),
    "quantizers": ("quantizers",),
    "activations … constraints": ("activations.py", "initializers.py", "regularizers.py", "constraints.py"),
    "ops, random": ("ops", "random.py"),
    "core": ("core", "dtype_policies.py", "utils"),
    "engine: protocol": ("engine/*.py",),
    "engine: jax": ("engine/jax",),
    "engine: torch": ("engine/torch",),
    "engine: numpy": ("engine/numpy",),
    "ground": ("errors.py", "config.py", "tree.py"),
}


def code_lines(text: str) -> int:
    """Return how many lines of a source hold code."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                documented |= set(range(value.lineno, (value.end_lineno or value.lineno) + 1))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)


def main() -> None:
    """Print a Markdown table of files and lines."""
    package = Path(__file__).parents[1] / "src" / "kerata"
    seen: set[Path] = set()
    print("| floor | files | lines of code | all lines |\n|---|--:|--:|--:|")
    sums = [0, 0, 0]
    for floor, places in FLOORS.items():
        paths: list[Path] = []
        for place in places:
            paths += package.glob(place if place.endswith(".py") else f"{place}/**/*.py")
        texts = [p.read_text() for p in paths]
        seen |= set(paths)
        row = [len(texts), sum(map(code_lines, texts)), sum(text.count("\n") for text in texts)]
        sums = [a + b for a, b in zip(sums, row)]
        print(f"| {floor} | {row[0]} | {row[1]:,} | {row[2]:,} |")
    print(f"| all | {sums[0]} | {sums[1]:,} | {sums[2]:,} |")
    for missing in sorted(set(package.rglob("*.py")) - seen):
        print("not counted:", missing.relative_to(package))


if __name__ == "__main__":
    main()
