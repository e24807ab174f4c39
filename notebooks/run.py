#!/usr/bin/env python3
"""Makes every notebook of this folder from its Rust source, runs it, and fails when a cell errs or panics.

    pip install nbclient nbformat
    cargo install --locked evcxr_jupyter && evcxr_jupyter --install
    cargo run --release -- run probes/quickstart.toml
    python notebooks/run.py

A panicking cell leaves nbconvert's exit code at 0, so the outputs themselves are read here.
"""

import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
FAILED = re.compile(r"panicked at|Child process terminated|^error(\[E\d+\])?:", re.MULTILINE)


def cells(source):
    """(kind, text) of every cell of a Rust file: what stands between `// %%` lines of its main function."""
    body = source.split("fn main() -> deltascope::Result<()> {\n", 1)[1].rsplit("\n    Ok(())\n}", 1)[0]
    lines = [line[4:] if line.startswith("    ") else line for line in body.split("\n")]
    found = []
    for line in lines:
        if line.startswith("// %%"):
            found.append(("markdown" if "[markdown]" in line else "code", []))
        elif found:
            found[-1][1].append(line)
    for kind, text in found:
        if kind == "markdown":
            text = [re.sub(r"^// ?", "", line) for line in text]
        else:
            text = [re.sub(r"^// (:\w)", r"\1", line) for line in text]
        yield kind, "\n".join(text).strip()


def notebook(source):
    """A notebook without outputs."""
    import nbformat.v4 as v4

    kernel = {"display_name": "Rust", "language": "rust", "name": "rust"}
    made = v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "rust"}})
    for number, (kind, text) in enumerate(cells(source)):
        new = v4.new_markdown_cell if kind == "markdown" else v4.new_code_cell
        made.cells.append(new(text, id=f"cell-{number}"))
    return made


def failure(cell):
    """What went wrong in a cell that was run, or nothing."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return "\n".join(output.get("traceback") or [output.get("evalue", "error")])
        text = output.get("text", "") if output.output_type == "stream" else ""
        if FAILED.search(text):
            return text
    return None


def run(path):
    """Runs a notebook's cells in its folder and writes it with their outputs; what failed, or nothing."""
    import nbformat
    from nbclient import NotebookClient

    made = notebook(path.read_text())
    client = NotebookClient(
        made, timeout=3600, kernel_name="rust", allow_errors=True, resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    for cell in made.cells:
        problem = failure(cell)
        if problem:
            return f"{path.name}, the cell that begins `{cell.source.splitlines()[0]}`:\n{problem}"
        cell.metadata.pop("execution", None)
    nbformat.write(made, path.with_suffix(".ipynb"))
    return None


def main():
    problems = [problem for problem in map(run, sorted(FOLDER.glob("*.rs"))) if problem]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
