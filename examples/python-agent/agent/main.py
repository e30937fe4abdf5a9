"""The agent: reads its task, writes a result."""
import json
import pathlib

here = pathlib.Path(__file__).resolve().parent.parent
task = json.loads((here / "task.json").read_text())
results = here / "results"
results.mkdir(exist_ok=True)
(results / "answer.txt").write_text(f"done: {task['task']}\n")
