"""Settings: closed, in range, and a run file that says only what differs."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.errors import SettingsError
from adhere.settings import Choices, RunSettings

SETTINGS = st.builds(
    RunSettings.parse,
    st.fixed_dictionaries(
        {},
        optional={
            "documents": st.lists(st.text(), max_size=2),
            "models": st.fixed_dictionaries(
                {}, optional={"teacher": st.text(), "style": st.sampled_from(["continue", "chat"])}
            ),
            "generate": st.fixed_dictionaries(
                {},
                optional={
                    "examples": st.integers(1, 100),
                    "temperature": st.floats(0, 2),
                    "seed": st.integers(-(2**63), 2**63 - 1),
                },
            ),
            "dpo": st.fixed_dictionaries({}, optional={"beta": st.floats(0.01, 10)}),
        },
    ),
    st.just("test"),
)


@given(settings=SETTINGS)
def test_a_run_file_says_the_same_when_it_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, settings: RunSettings
) -> None:
    path = tmp_path_factory.mktemp("settings") / "deep" / "run.toml"
    settings.write(path)
    assert RunSettings.read(path) == settings
    assert [file.name for file in path.parent.iterdir()] == ["run.toml"]


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    RunSettings().write(path)
    assert path.read_text(encoding="utf-8") == ""
    RunSettings.parse({"documents": ["a.md"], "sft": {"epochs": 5}}, "test").write(path)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {
        "documents": ["a.md"],
        "sft": {"epochs": 5.0},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generate]\nexample = 1", "unknown setting 'generate.example'; did you mean 'examples'?"),
        ("[generat]\nexamples = 1", "unknown setting 'generat'; did you mean 'generate'?"),
        ("[sft]\nzzz = 1", "unknown setting 'sft.zzz'; known are: balance, batch_size,"),
        ("[generate]\nprobes = 9", "generate.probes: Input should be less than or equal to 3"),
        ("[sft]\nepochs = 0", "sft.epochs: Input should be greater than 0 (got 0)"),
        ("[sft]\nepochs = inf", "sft.epochs: Input should be a finite number (got inf)"),
        ("[curate]\nmin_grounding = -inf", "min_grounding: Input should be a finite number"),
        ("[curate]\nmin_margin = nan", "curate.min_margin: Input should be a finite number"),
        ("[ingest]\npassage_chars = 'many'", "ingest.passage_chars: Input should be a valid int"),
        ("[models]\nstyle = 'shout'", "models.style: Input should be 'continue' or 'chat'"),
        ("[models\n", "not a TOML file"),
        ("generate = 3", "generate: a table of settings is wanted: [generate] (got 3)."),
        ("documents = 'a.md'", "documents: a list is wanted: documents = [\"a.md\"] (got 'a.md')."),
        (
            "[evaluate]\nsystems = 'x'",
            "evaluate.systems: names with values are wanted: evaluate.systems.NAME",
        ),
    ],
)
def test_a_bad_run_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        RunSettings.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_run_file_in_another_encoding_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes("documents = ['größe.md']".encode("latin-1"))
    with pytest.raises(SettingsError, match="not a TOML file"):
        RunSettings.read(path)


def test_the_mark_that_notepad_puts_first_is_no_part_of_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("documents = ['größe.md']", encoding="utf-8-sig")
    assert RunSettings.read(path).documents == ("größe.md",)


def test_changes_are_laid_over_what_is_there() -> None:
    saved = RunSettings.parse({"documents": ["a"], "sft": {"epochs": 5, "lora_rank": 4}}, "test")
    merged = saved.merge({"sft": {"epochs": 2}, "dpo": {"beta": 0.3}}, "flags")
    assert (merged.sft.epochs, merged.sft.lora_rank, merged.dpo.beta) == (2, 4, 0.3)
    assert merged.documents == ("a",)
    assert saved.sft.epochs == 5
    with pytest.raises(SettingsError, match=r"^flags: sft\.epochs"):
        saved.merge({"sft": {"epochs": -1}}, "flags")


def test_a_default_can_be_asked_for_again() -> None:
    default = RunSettings().sft.epochs
    saved = RunSettings.parse({"sft": {"epochs": default + 1}}, "test")
    assert saved.merge({"sft": {"epochs": default}}, "flags") == RunSettings()


def test_every_setting_but_the_documents_is_a_choice() -> None:
    assert set(RunSettings.model_fields) - set(Choices.model_fields) == {"documents", "gate"}
