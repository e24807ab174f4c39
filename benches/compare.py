"""Runs our benchmark and PyTorch's, line by line in one sitting, and prints the ratios.

    ~/peers/bin/python benches/compare.py [--threads N] [--rounds N] [--write] [name ...]

with the Python of `peers.py` (its first lines say how to set it up). Each line is measured `rounds` times on
either side, ours and theirs in turn, because other work and the clock of a machine drift; the ratio is of the
medians. `--write` puts the table into README.md.
"""
import argparse, datetime, glob, json, os, platform, re, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LINES = ["forward", "train", "generate", "cache", "sae", "crosscoder", "grpo", "memory"]
# What each line cannot do without. GFLOP: products of weights and tokens (twice that again backward), attention over
# half of the pairs, one dense encoding per dictionary step (its backward is sparse).
WEIGHTS = 4 * (4 * 256 * 256 + 3 * 256 * 768) + 256 * 512
TOKEN = 2 * WEIGHTS / 1e9
ATTENTION = 4 * 4 * 128 * 128 / 2 * 64 * 4 * 16 / 1e9
FORWARD = 2048 * TOKEN + ATTENTION
# GB that go through memory: what Adam reads and writes of every parameter (weight, gradient, two moments: seven
# numbers), what a capture copies out, the weights once for every token that is drawn.
ADAM = 7 * 4 / 1e9
HOOKED = 2048 * (4 * (13 * 256 + 3 * 768 + 2 * 4 * 128) + 2 * 256)
FLOOR = {
    "forward 16x128": (FORWARD, 0),
    "train step 16x128 (forward+backward+AdamW)": (3 * 2048 * TOKEN + 3.5 * ATTENTION, WEIGHTS * ADAM),
    "sample 64 x (32 prompt + 96 new)": (64 * 127 * TOKEN, 96 * 4 * WEIGHTS / 1e9),
    "capture resid_post of every layer 16x128": (FORWARD, 4 * 2048 * 256 * 8 / 1e9),
    "capture every hook point 16x128": (FORWARD, HOOKED * 8 / 1e9),
    "steer one layer 16x128": (FORWARD, 0),
    "TopK SAE step d=256 F=8192 k=32 B=2048": (2 * 2048 * 256 * 8192 / 1e9, 2 * 256 * 8192 * ADAM),
    "BatchTopK crosscoder step 3xd=256 F=4096 k=32 B=2048": (2 * 2048 * 768 * 4096 / 1e9, 2 * 768 * 4096 * ADAM),
}
LINE = re.compile(r"^(.*?) +([0-9.]+) (ms|MiB)\b")


def environment(threads, **more):
    return dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads), **more)


def printed(command, threads, **more):
    output = subprocess.run(command, env=environment(threads, **more), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return {m[1]: (float(m[2]), m[3]) for m in map(LINE.match, output.splitlines()) if m}


def ours(executable, name, threads):
    """Criterion's medians of a group; memory is printed."""
    if name == "memory":
        return printed([executable, name], threads)
    with tempfile.TemporaryDirectory() as home:
        printed([executable, "--bench", f"^{name}/"], threads, CRITERION_HOME=home)
        found = {}
        for path in glob.glob(f"{home}/*/*/new/benchmark.json"):
            line = json.load(open(path))["function_id"]
            estimates = json.load(open(path.replace("benchmark.json", "estimates.json")))
            found[line] = (estimates["median"]["point_estimate"] / 1e6, "ms")
        return found


def rates(executable, threads):
    """GFLOP/s of a large product, the better of PyTorch's and candle's, and GB/s of a large copy."""
    code = ("import torch, time\n"
            "def least(work):\n times = []\n"
            " for _ in range(40):\n  start = time.perf_counter(); work(); times.append(time.perf_counter() - start)\n"
            " return min(times)\n"
            "a, b = torch.randn(2, 1024, 1024); x = torch.randn(1 << 26); y = torch.empty_like(x)\n"
            "print(2 * 1024 ** 3 / least(lambda: a @ b) / 1e9, 2 * 4 * len(x) / least(lambda: y.copy_(x)) / 1e9)")
    output = subprocess.run([sys.executable, "-c", code], env=environment(threads), check=True, stdout=subprocess.PIPE, text=True).stdout
    product, copy = map(float, output.split())
    candle = printed([executable, "rate"], threads)["product 1024x1024x1024"][0]
    return max(product, 2 * 1024 ** 3 / candle / 1e6), copy


def processor():
    try:
        found = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        found = platform.processor()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", help="the benchmark's executable; built by cargo where it is left out")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*", default=LINES)
    arguments = parser.parse_args()
    executable = arguments.ours
    if not executable:
        built = subprocess.run(["cargo", "bench", "--bench", "engine", "--no-run"], check=True, stderr=subprocess.PIPE, text=True, cwd=HERE)
        executable = re.search(r"Executable .*\((.*)\)", built.stderr)[1]
        executable = os.path.join(os.path.dirname(HERE), executable)
    peak, bandwidth = rates(executable, arguments.threads)
    measured = {}
    for name in arguments.names:
        for _ in range(arguments.rounds):
            theirs = [sys.executable, os.path.join(HERE, "peers.py"), name]
            sides = ours(executable, name, arguments.threads), printed(theirs, arguments.threads)
            for side, lines in enumerate(sides):
                for line, (value, unit) in lines.items():
                    measured.setdefault(line, (unit, [], []))[1 + side].append(value)
        print(f"{name} done", file=sys.stderr, flush=True)
    table = ["| work | PyTorch | deltascope | ratio | floor | of the floor |", "|---|---|---|---|---|---|"]
    for line, (unit, mine, theirs) in measured.items():
        if not mine or not theirs:
            continue
        mine, theirs = statistics.median(mine), statistics.median(theirs)
        work, traffic = FLOOR.get(line, (0, 0))
        floor = (work / peak + traffic / bandwidth) * 1e3
        limit = f"{floor:.1f} ms | {floor / mine:.0%}" if floor else "| "
        ratio = f"{theirs / mine:.2f}x" if unit == "ms" else f"{mine / theirs:.2f} of it"
        table.append(f"| {line} | {theirs:.1f} {unit} | {mine:.1f} {unit} | {ratio} | {limit} |")
    when = datetime.date.today().isoformat()
    heading = f"{when}, {processor()}, {arguments.threads} threads, products at {peak:.0f} GFLOP/s, copies at {bandwidth:.0f} GB/s; median of {arguments.rounds} rounds."
    text = "\n".join([heading, "", *table])
    print(text)
    if arguments.write:
        path = os.path.join(HERE, "README.md")
        page = open(path).read()
        page = re.sub(r"(<!-- measured -->\n).*?(<!-- end -->)", lambda m: m[1] + text + "\n" + m[2], page, flags=re.S)
        open(path, "w").write(page)


if __name__ == "__main__":
    main()
