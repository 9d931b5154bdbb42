"""Installs textmill: `pip install -c constraints.txt .` gives the tested versions."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# The folders model/ and pipeline/ are installed as textmill.model and textmill.pipeline: a user's
# own model.py or pipeline.py must not stand in for them.
FOLDERS = ("model", "pipeline")
ROOMS = {
    f"textmill.{top}.{room}": f"{top}/{room}" for top in FOLDERS for room in find_packages(top)
}
PACKAGES = {"textmill": "textmill", **{f"textmill.{top}": top for top in FOLDERS}, **ROOMS}

setup(
    name="textmill",
    version="0.1.0",
    description="Trains an LSTM language model on any text and writes text with it in bulk",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={"textmill": ["py.typed"], "textmill.pipeline.command": ["*.html"]},
    python_requires=">=3.11,<3.14",
    install_requires=[
        "apache-beam>=2.77,<2.80",
        "keras>=3.15,<4",
        "numpy>=1.26",
        "pyarrow>=17",
        "rich>=13",
        "safetensors>=0.5",
        "shtab>=1.7",
        "tensorflow>=2.21,<2.22",
        # Its wheels follow TensorFlow's minor version and exist for Linux and macOS.
        "tensorflow-text>=2.21,<2.22; platform_system != 'Windows'",
    ],
    extras_require={
        # Of wordllama only the vectors and the pieces of words are read, with tokenizers.
        "augment": ["datasketch>=2", "scikit-learn>=1.6", "tokenizers>=0.20", "wordllama>=0.4"],
        # What the tests marked `cluster` talk to.
        "cluster": ["apache-beam[gcp,dask]>=2.77,<2.80", "gcp-storage-emulator>=2026.7"],
        "cuda": ["tensorflow[and-cuda]>=2.21,<2.22"],
        # dask and distributed
        "dask": ["apache-beam[dask]>=2.77,<2.80"],
        "dataflow": ["apache-beam[gcp]>=2.77,<2.80"],
        "docs": [
            "latex2mathml>=3.77",
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5",
            "mkdocstrings[python]>=0.27",
            "ruff>=0.6",  # breaks the signatures into lines
        ],
        # Keras converts by tf2onnx, which needs onnx.
        "export": ["onnx>=1.17", "tf2onnx>=1.17"],
        "lab": [
            "bottle>=0.13",
            "ipykernel>=6",
            "jupyterlab>=4",
            "jupytext>=1.16",
            "matplotlib>=3.8",
            "nbclient>=0.10",
            "polib>=1.2",  # reads the lab's translations
            "scipy>=1.11",  # an exercise may use it
        ],
        "lab-torch": ["torch>=2.15,<3"],  # instead of Keras, if a student likes
        "report": ["sacrebleu>=2.4"],
        "test": [
            "apache-beam[dask]>=2.77,<2.80",  # its flags
            "bottle>=0.13",
            "datasets>=4",
            "datasketch>=2",
            "hypothesis>=6.100",
            "ipykernel>=6",
            "jax>=0.5",
            "jupytext>=1.16",
            "matplotlib>=3.8",
            "mypy>=1.10",
            "nbclient>=0.10",
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "pandas>=2",
            "polib>=1.2",
            "pytest>=8",
            "pytest-xdist>=3.7",
            "pyyaml>=6",
            "ruff>=0.6",
            "sacrebleu>=2.4",
            "scikit-learn>=1.6",
            "scipy>=1.11",
            "selenium>=4.20",
            "tf2onnx>=1.17",
            "tokenizers>=0.20",
            "wordllama>=0.4",
        ],
    },
    entry_points={
        "console_scripts": [
            "textmill=textmill.pipeline.command.cli:main",
            # What executors of Spark start.
            "textmill-worker=textmill.pipeline.job.process_worker:main",
        ]
    },
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
)
