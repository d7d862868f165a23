"""Builds the kernels' images, machine code for the GPUs that there are and PTX for those to come, without a GPU:
python3 kernels/cuda/build_images.py [--check]

The compiler is NVRTC, from the wheel nvidia-cuda-nvrtc-cu12 (pip takes it into .cache/nvrtc). With --check, the images
must be what it makes, byte by byte.
"""

import ctypes
import subprocess
import sys
from pathlib import Path

VERSION = "12.9.86"
FOLDER = Path(__file__).resolve().parent
CACHE = FOLDER.parents[1] / ".cache" / "nvrtc" / VERSION
ARCHITECTURES = ["sm_70", "sm_75", "sm_80", "sm_90", "compute_80"]


def load():
    library = CACHE / "nvidia" / "cuda_nvrtc" / "lib" / "libnvrtc.so.12"
    if not library.exists():
        package = f"nvidia-cuda-nvrtc-cu12=={VERSION}"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", CACHE, package], check=True
        )
    for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(library))


def image(nvrtc, architecture):
    """Machine code for sm_XX, PTX for compute_XX."""
    program = ctypes.c_void_p()

    def call(name, *arguments):
        if getattr(nvrtc, name)(*arguments) != 0:
            size = ctypes.c_size_t()
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, log)
            sys.exit(f"{name} for {architecture}:\n{log.value.decode()}")

    source = (FOLDER / "all.cu").read_bytes()
    call("nvrtcCreateProgram", ctypes.byref(program), source, b"all.cu", 0, None, None)
    options = [f"--gpu-architecture={architecture}", f"--include-path={FOLDER}", "--std=c++17"]
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    call("nvrtcCompileProgram", program, len(options), array)
    kind = "CUBIN" if architecture.startswith("sm_") else "PTX"
    size = ctypes.c_size_t()
    call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
    bytes_ = ctypes.create_string_buffer(size.value)
    call(f"nvrtcGet{kind}", program, bytes_)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return bytes_.raw


def main():
    nvrtc = load()
    folder = FOLDER / "images"
    folder.mkdir(exist_ok=True)
    for architecture in ARCHITECTURES:
        file = folder / f"{architecture}.{'cubin' if architecture.startswith('sm_') else 'ptx'}"
        made = image(nvrtc, architecture)
        if "--check" in sys.argv:
            if not file.exists() or file.read_bytes() != made:
                sys.exit(f"{file} is not what the .cu files make: run npm run images")
        else:
            file.write_bytes(made)
            print(f"{architecture}: {len(made)} bytes")


if __name__ == "__main__":
    main()
