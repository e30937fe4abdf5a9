# Runs a command with `sh` and prints MARKER, its status (`timeout` where it was ended), output and errors as base64, and
# `end`. PACKED has what there is to know, as JSON: in two layers of JSON its quotes would outgrow a message otherwise.
import base64, json, os, signal, subprocess, zlib

given = json.loads(zlib.decompress(base64.b64decode(PACKED)))
status, output, errors = "timeout", b"", b""
process = subprocess.Popen(
    ["sh", "-c", given["command"]],
    cwd=given["cwd"],
    env=dict(os.environ, **given["env"]),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    start_new_session=True,
)
try:
    output, errors = process.communicate(timeout=given["seconds"])
    status = process.returncode
except subprocess.TimeoutExpired:
    os.killpg(process.pid, signal.SIGKILL)


def text_of(data):
    return base64.urlsafe_b64encode(data).decode()


print(given["marker"], status, text_of(output), text_of(errors), "end")
