"""Builds a torchvision wheel without compiled parts, for CPU machines that no index serves one.

The wheel on PyPI is linked against CUDA and fails at import beside a CPU torch. Picture
preprocessing, which is all that vLLM and transformers use of it here, is pure Python. Where
PyTorch's own CPU index can be reached, take torchvision from there instead.

Usage: python torchvision_wheel.py FOLDER VERSION
"""

import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

# The two operators whose absence breaks `import torchvision`: their shapes are registered there.
OPERATORS = """\
import torch as _torch

for _operator in ("nms", "qnms"):
    _torch.library.define(
        f"torchvision::{_operator}",
        "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    )
"""

WHEEL = b"""\
Wheel-Version: 1.0
Generator: torchvision_wheel
Root-Is-Purelib: true
Tag: py3-none-any
"""


def main() -> None:
    """Write the wheel into FOLDER and tell its path."""
    folder, version = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"torchvision-{version}+pure-py3-none-any.whl"
    with tempfile.TemporaryDirectory() as downloads:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "-d", downloads, f"torchvision=={version}"], check=True)
        original = next(Path(downloads).glob("*.whl"))
        write_wheel(wheel, dict(pure_members(original, version)), version)
    sys.stdout.write(f"{wheel}\n")


def pure_members(original: Path, version: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member that is kept, changed where it must be."""
    with zipfile.ZipFile(original) as wheel:
        for name in wheel.namelist():
            if ".so" in name or name.startswith("torchvision.libs/") or name.endswith("/RECORD"):
                continue
            content = wheel.read(name)
            if name == "torchvision/_meta_registrations.py":
                content = OPERATORS.encode() + content
            elif name.endswith(".dist-info/METADATA"):
                own = f"Version: {version}+pure".encode()
                content = re.sub(rb"(?m)^Version: .*$", own, content, count=1)
            elif name.endswith(".dist-info/WHEEL"):
                content = WHEEL
            yield name.replace(f"-{version}.dist-info", f"-{version}+pure.dist-info"), content


def write_wheel(path: Path, members: dict[str, bytes], version: str) -> None:
    """Zip the members with the RECORD of their hashes."""
    record = f"torchvision-{version}+pure.dist-info/RECORD"
    lines = [f"{name},sha256={digest(content)},{len(content)}" for name, content in members.items()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
        wheel.writestr(record, "\n".join([*lines, f"{record},,", ""]))


def digest(content: bytes) -> str:
    """As wheels write it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
