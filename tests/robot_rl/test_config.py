from __future__ import annotations

import dataclasses
import inspect
import typing
from pathlib import Path

import pytest

from robot_rl.classifier_config import ClassifierConfig
from robot_rl.cloning_config import ActConfig, ChunkConfig, CloningConfig, FlowConfig
from robot_rl.config import (
    LatentNoiseConfig,
    LearnerConfig,
    ResidualConfig,
    TrainConfig,
    VisionConfig,
    from_dict,
    to_dict,
)
from robot_rl.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_a_round_trip(name):
    assert from_dict(TrainConfig, to_dict(preset(name))) == preset(name)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"no preset 'hil_sarl'; did you mean 'hil_serl'"):
        preset("hil_sarl")


def test_an_unknown_key_names_the_nearest_and_its_place():
    with pytest.raises(ValueError, match=r"config\.learner: unknown key 'gama'; did you mean 'gamma'"):
        from_dict(TrainConfig, {"learner": {"gama": 0.9}})


def test_paper_presets_hold_the_published_values():
    hil, rlpd = preset("hil_serl_paper").learner, preset("rlpd_paper").learner
    assert (hil.gamma, hil.n_step, hil.critics, hil.utd_ratio, hil.initial_temperature) == (0.97, 1, 2, 2, 0.01)
    assert (rlpd.gamma, rlpd.n_step, rlpd.critics, rlpd.target_subset, rlpd.utd_ratio) == (0.99, 1, 10, 2, 20)


def test_every_field_has_a_docstring():
    """The CLI shows them; a setting without a sentence is a setting nobody can use."""
    for kind in (
        LearnerConfig,
        TrainConfig,
        ResidualConfig,
        LatentNoiseConfig,
        VisionConfig,
        ClassifierConfig,
        CloningConfig,
        ChunkConfig,
        ActConfig,
        FlowConfig,
    ):
        source = Path(inspect.getfile(kind)).read_text().split(f"class {kind.__name__}:", 1)[1]
        for field in dataclasses.fields(kind):
            after = source.split(f"    {field.name}: ", 1)[1].split("\n", 1)[1]
            assert after.lstrip().startswith('"""'), f"{kind.__name__}.{field.name} has no docstring"
    assert typing.get_type_hints(TrainConfig)
