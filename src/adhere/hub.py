"""Files from and to a Hugging Face repository, or within seconds the reason why not."""

from pathlib import Path

import httpx

from adhere.errors import EngineError, MissingExtraError

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer before it counts as out of reach."""

CHECKPOINT_FILES: list[str] = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""What is loaded of a checkpoint, as patterns."""
_OTHER_FORMATS: list[str] = ["onnx/*", "openvino/*", "original/*"]


def hub_snapshot(repository: str, files: list[str], revision: str | None = None) -> Path:
    """The folder of the hub's own cache with `files` of a repository, fetched where needed.

    Patterns are matched as in a shell. Where the hub is out of reach, the files must
    be there from an earlier time. Raises EngineError when they cannot be had, and
    MissingExtraError without the hub's client.
    """
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError as error:
        raise MissingExtraError("the hub needs: pip install 'adhere[train]'") from error
    problem = _hub_problem(constants.ENDPOINT, offline=constants.HF_HUB_OFFLINE)
    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=files,
            ignore_patterns=_OTHER_FORMATS,
            local_files_only=problem is not None,
        )
    except Exception as error:  # the client also lets through what its HTTP library raises
        reason = problem or next(iter(str(error).splitlines()), type(error).__name__)
        raise EngineError(
            f"{repository}: not to be had from the hub: {reason}. "
            "Check the name and the connection (HF_TOKEN for a private one), or give a local path."
        ) from error
    return Path(folder)


def in_hub_cache(repository: str) -> Path | None:
    """The folder of a repository that was fetched to this machine before; the hub is not asked."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(repository, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def push_dataset(folder: Path, repository: str, *, private: bool) -> str:
    """Upload a folder as a dataset repository, made where needed; returns its address.

    Raises EngineError when the hub is out of reach or refuses, and MissingExtraError
    without the hub's client.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ImportError as error:
        raise MissingExtraError("the hub needs: pip install 'adhere[train]'") from error
    reason = _hub_problem(constants.ENDPOINT, offline=constants.HF_HUB_OFFLINE)
    if reason is None:
        try:
            api = HfApi()
            url = api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder)
            return str(url)
        except Exception as error:  # the client also lets through what its HTTP library raises
            reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise EngineError(
        f"{repository}: not pushed to the hub: {reason}. Check the name and that HF_TOKEN may "
        f"write there; the data is in {folder}."
    )


def _hub_problem(endpoint: str, *, offline: bool) -> str | None:
    """Why the hub cannot be asked: found out in seconds, where its client retries for minutes."""
    if offline:
        return "HF_HUB_OFFLINE is set"
    try:
        httpx.head(endpoint, timeout=HUB_TIMEOUT)
    except httpx.HTTPError as error:
        return f"{endpoint} cannot be reached ({error})"
    return None
