"""Loads what `deltascope convert` writes with the packages that the formats belong to, and compares the numbers.

    python benches/formats.py [--deltascope BIN] [--crosscoder-package DIR] [--keep DIR]

with a Python that has torch, safetensors and sae-lens. Every kind of dictionary is fitted for a few steps on made-up
activations of three variants and converted. Then, for each:

- SAELens's `SAE.load_from_disk` encodes and decodes the same activations as `deltascope check dictionary --out`;
- with `--crosscoder-package`, a checkout of science-of-finetuning's dictionary_learning (the folder that holds
  `dictionary_learning/dictionary.py`), `CrossCoder` or `BatchTopKCrossCoder.from_pretrained` does;
- and SAELens dictionaries of all architectures, drawn at random and saved by the package, are checked with
  `deltascope check dictionary --golden`.

Supports must be equal, and values within 1e-4 of the larger of 1 and the largest of their vector. Exits with 1 if
any are not.
"""
import argparse, importlib, os, subprocess, sys, tempfile, types
import torch
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4
VARIANTS = ["base", "sft", "rl"]
# What is fitted: a name, its kind, and further flags.
FITS = [(kind, kind, ["--over", "rl"]) for kind in ["standard", "gated", "topk", "batch_topk", "jumprelu", "matryoshka"]]
FITS += [(kind, kind, ["--over", "rl"]) for kind in ["transcoder", "skip_transcoder"]]
FITS += [
    ("difference", "difference", ["--over", "base,rl"]),
    ("crosscoder", "crosscoder", []),
    ("batch_topk_crosscoder", "batch_topk_crosscoder", []),
    ("shared", "batch_topk_crosscoder", ["--set", "shared_features=16"]),
    ("standard_scale", "batch_topk_crosscoder", ["--set", "normalise=standard"]),
]
failures = 0


def activations(tokens, width):
    """Three variants that share sparse features; the last has some of its own."""
    directions = torch.nn.functional.normalize(torch.randn(32, 1, width), dim=-1).repeat(1, 3, 1)
    directions[24:, :2] = 0
    active = (torch.rand(tokens, 32) < 0.06).float() * (0.5 + torch.rand(tokens, 32))
    values = torch.einsum("tf,fvd->tvd", active, directions) + 0.02 * torch.randn(tokens, 3, width)
    return values * torch.tensor([1.0, 2.0, 3.0])[None, :, None] + 0.3


def run(binary, *flags):
    done = subprocess.run([binary, *flags], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(flags)}\n{done.stderr}")


def ours(binary, folder, x):
    """Features and output of a dictionary as deltascope computes them."""
    with tempfile.TemporaryDirectory() as scratch:
        golden, out = os.path.join(scratch, "x.safetensors"), os.path.join(scratch, "out.safetensors")
        save_file({"x": x.contiguous()}, golden)
        run(binary, "check", "dictionary", folder, "--golden", golden, "--out", out)
        return load_file(out)


def compare(name, features, output, found):
    """Prints how far apart two computations of one dictionary are."""
    global failures
    dense = features.to_dense() if features.is_sparse else features
    supports = int(((dense != 0) != (found["features"] != 0)).sum())
    gap = float(((dense - found["features"]).abs() / dense.abs().clamp(min=1)).max())
    output = output.reshape(found["output"].shape)
    scale = output.abs().amax(-1, keepdim=True).clamp(min=1)
    output_gap = float(((output - found["output"]).abs() / scale).max())
    well = supports == 0 and gap <= TOLERANCE and output_gap <= TOLERANCE
    failures += not well
    print(f"{'ok  ' if well else 'FAIL'} {name:46} supports that differ {supports}, features {gap:.1e}, output {output_gap:.1e}")


def into_saelens(binary, name, folder, out, x):
    from sae_lens import SAE

    run(binary, "convert", folder, "--to", "saelens", "--out", out)
    alone = os.path.exists(os.path.join(out, "cfg.json"))
    for part, column in [("", 2)] if alone else [(variant, index) for index, variant in enumerate(VARIANTS)]:
        where = os.path.join(out, part)
        sae = SAE.load_from_disk(where)
        inputs = (x[:, 2] - x[:, 0] if name == "difference" else x[:, column]).contiguous()
        with torch.no_grad():
            features, output = sae.encode(inputs), sae(inputs)
        compare(f"{name} {part} in SAELens", features, output, ours(binary, where if part else folder, inputs))


def crosscoder_classes(folder):
    """The package's module of dictionaries, without the rest of the package and what that needs."""
    package = types.ModuleType("crosscoders")
    package.__path__ = [os.path.join(folder, "dictionary_learning")]
    sys.modules["crosscoders"] = package
    return importlib.import_module("crosscoders.dictionary")


def into_crosscoder(binary, name, folder, out, x, classes, batch_topk):
    run(binary, "convert", folder, "--to", "crosscoder", "--out", out)
    kind = classes.BatchTopKCrossCoder if batch_topk else classes.CrossCoder
    model = kind.from_pretrained(out, from_hub=True)
    with torch.no_grad():
        features = model.encode(x)
        output = model.decode(features)
    # Where activations are in units of thresholds, they are compared as the format holds them.
    compare(f"{name} as a crosscoder", features, output, ours(binary, out, x))
    theirs = ours(binary, folder, x)
    gap = (output - theirs["output"]).abs() / output.abs().amax(-1, keepdim=True).clamp(min=1)
    if float(gap.max()) > TOLERANCE:
        global failures
        failures += 1
        print(f"FAIL {name}: its output is {float(gap.max()):.1e} from the dictionary that was converted")


def from_saelens(binary, scratch):
    from sae_lens.registry import get_sae_class

    for architecture in ["standard", "gated", "jumprelu", "topk", "transcoder", "skip_transcoder", "jumprelu_transcoder"]:
        for width, size, scale in [(17, 33, 1.0), (64, 512, 5.0), (256, 2048, 20.0)]:
            kind, config = get_sae_class(architecture)
            more = {"d_out": width + 3} if "transcoder" in architecture else {}
            more |= {"k": 7} if architecture == "topk" else {}
            sae = kind(config(d_in=width, d_sae=size, dtype="float32", device="cpu", apply_b_dec_to_input=not more, **more))
            with torch.no_grad():
                for name, parameter in sae.named_parameters():
                    drawn = torch.randn_like(parameter)
                    parameter.copy_({
                        "threshold": drawn.abs() * scale / 2,
                        "r_mag": drawn * 0.3,
                    }.get(name, drawn / width**0.5 if name.startswith("W_") else drawn * 0.3 * scale))
            folder = os.path.join(scratch, f"{architecture}-{width}")
            sae.save_model(folder)
            x = torch.randn(16, width) * scale
            with torch.no_grad():
                compare(f"{architecture} {width} from SAELens", sae.encode(x), sae(x), ours(binary, folder, x))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deltascope", default="deltascope", help="the executable")
    parser.add_argument("--crosscoder-package", metavar="DIR")
    parser.add_argument("--keep", metavar="DIR", help="leave the dictionaries here")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    binary = arguments.deltascope
    classes = crosscoder_classes(arguments.crosscoder_package) if arguments.crosscoder_package else None
    with tempfile.TemporaryDirectory() as scratch:
        scratch = arguments.keep or scratch
        os.makedirs(scratch, exist_ok=True)
        place = lambda name: os.path.join(scratch, name)
        x = activations(8000, 24)
        save_file({"activations": x}, place("activations.safetensors"))
        written = torch.relu(x @ torch.randn(24, 20)) + 0.1 * torch.randn(8000, 3, 20)
        save_file({"activations": written.contiguous()}, place("targets.safetensors"))
        for name, kind, flags in FITS:
            folder = place(name)
            if "transcoder" in kind:
                flags = flags + ["--targets", place("targets.safetensors")]
            run(binary, "fit", "--activations", place("activations.safetensors"), "--variants", ",".join(VARIANTS),
                "--kind", kind, "--features", "64", "--k", "4", "--steps", "150", "--batch", "512", "--out", folder, *flags)
            into_saelens(binary, name, folder, place(f"{name}-saelens"), x[:64])
            if classes and "crosscoder" in kind:
                into_crosscoder(binary, name, folder, place(f"{name}-crosscoder"), x[:64], classes, kind != "crosscoder")
        from_saelens(binary, scratch)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
