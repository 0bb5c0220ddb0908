"""What this machine computes with."""


def has_bfloat16() -> bool:
    """Whether this machine, its GPU if it has one, multiplies bfloat16 in hardware."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    import torch

    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
