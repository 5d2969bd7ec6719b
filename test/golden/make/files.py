"""The two formats of the golden files: JSON for small things, safetensors for arrays."""
import json
from importlib.metadata import version

from safetensors.torch import save_file

PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "tokenizers", "safetensors", "numpy")


def write_json(path, value):
    """Objects over several lines, lists of numbers on one line, so that a diff is readable and the file small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(layout(value, "") + "\n")


def layout(value, indent):
    if isinstance(value, dict) and value:
        inner = indent + " "
        fields = (f"{inner}{json.dumps(key)}: {layout(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(fields) + "\n" + indent + "}"
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        inner = indent + " "
        return "[\n" + ",\n".join(inner + layout(item, inner) for item in value) + "\n" + indent + "]"
    return json.dumps(value, allow_nan=False)


def write_arrays(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: array.detach().contiguous() for name, array in arrays.items()}, path)


def write_versions(folder):
    write_json(folder / "versions.json", {package: version(package).split("+")[0] for package in PACKAGES})
