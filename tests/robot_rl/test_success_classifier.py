"""The success classifier: what it learns, what its probabilities mean, and what is made of its verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hardware.interfaces import Source
from robot_rl.calibration import best_temperature, calibration_error, reliability, threshold_for
from robot_rl.classifier_config import ClassifierConfig
from robot_rl.config import VisionConfig
from robot_rl.judged import FalsePositiveAlarm, relabelled
from robot_rl.success_classifier import (
    Quality,
    SuccessClassifier,
    load_classifier,
    save_classifier,
    train_classifier,
)
from robot_rl.types import Episode, EpisodeHeader, Step, StepId
from tests.robot_rl.test_vision import seeing, weights  # noqa: F401 - a fixture

SIDE = 16
CONFIG = ClassifierConfig(
    VisionConfig({"top": SIDE}, width=8, shift_px=1), width=8, undecided_s=0.0, steps=150, batch_size=32
)
GOOD = Quality(1, 1, 1.0, 1.0, 0.0, 0.0, [])


def picture(success: bool, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Success is bright on the left."""
    image = rng.integers(0, 80, (side, side, 3))
    if success:
        image[:, : side // 2] += 120
    return image.astype(np.uint8)


def episode(number: int, length: int = 8, succeeds: int | None = 5, side: int = SIDE, source: Source = Source.POLICY):
    """An episode whose observation ``succeeds`` and all later ones show success."""
    rng = np.random.default_rng(number)
    shown = [succeeds is not None and i >= succeeds for i in range(length + 1)]
    seen = [{"state": np.zeros(1, np.float32), "top": picture(s, rng, side)} for s in shown]
    zero, steps = np.zeros(2, np.float32), []
    for i in range(length):
        base = np.full(2, 0.1 * i, np.float32)
        ends = (False, i == length - 1, shown[i + 1])
        step_id = StepId("run", 0, number, i)
        steps.append(Step(step_id, seen[i], zero, zero, base, source, False, float(shown[i + 1]), *ends, 0.1 * i))
    return Episode(EpisodeHeader("run", 0, number, "test", 0, 10.0, 2), steps, seen[-1], zero)


@pytest.fixture(scope="module")
def trained() -> tuple[SuccessClassifier, Quality]:
    classifier = SuccessClassifier(CONFIG)
    return classifier, train_classifier(classifier, [episode(i) for i in range(12)])


def test_it_tells_success_from_failure_on_episodes_it_never_saw(trained):
    classifier, quality = trained
    fresh = classifier.frames([episode(100), episode(101, succeeds=None)])
    called = classifier.probability(fresh.seen) >= classifier.threshold
    assert torch.equal(called, fresh.success)
    assert quality.precision >= CONFIG.precision and quality.recall > 0.9 and quality.episodes == 3
    assert classifier.threshold >= CONFIG.precision, "held out without an error, and yet nothing unlikely is a success"


def test_validation_shares_no_episode_with_training(monkeypatch):
    parts = []
    frames = SuccessClassifier.frames
    monkeypatch.setattr(
        SuccessClassifier,
        "frames",
        lambda self, told: parts.append({e.header.episode for e in told}) or frames(self, told),
    )
    train_classifier(SuccessClassifier(replace(CONFIG, steps=2, precision=0.1)), [episode(i) for i in range(12)])
    valid, train = parts
    assert not valid & train and len(valid) == 3 and len(valid | train) == 12


@pytest.mark.parametrize("encoder", ["conv", "vit_small", "resnet18"])
def test_every_trainable_tensor_is_trained_and_served_images_are_normalised_as_trained_ones(encoder, weights):  # noqa: F811
    """LeRobot's classifier leaves 5 of 11 tensors without a gradient, and serves raw what was trained normalised."""
    vision = replace(seeing(encoder, ("top",), weights=weights if encoder == "resnet18" else None).vision, shift_px=0)
    classifier = SuccessClassifier(replace(CONFIG, vision=vision))
    told = episode(0, side=64)
    frames = classifier.frames([told])
    nn_loss = torch.nn.functional.binary_cross_entropy_with_logits(classifier(frames.seen), frames.success.float())
    nn_loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in classifier.parameters())
    observations = [*(step.observation for step in told.steps), told.final_observation]
    for trained_as, observation in zip(classifier.probability(frames.seen), observations, strict=True):
        for shift, expected in ((1e-4, False), (-1e-4, True)):  # the same probability to rounding, served
            classifier.threshold.fill_(float(trained_as) + shift)
            assert classifier.sees_success(observation) is expected


def test_the_operators_word_is_the_label():
    told = episode(0)
    told.steps[-1] = replace(told.steps[-1], reward_inputs={"key": -1.0})
    told.steps[0] = replace(told.steps[0], reward_inputs={"key": 1.0})
    assert SuccessClassifier(CONFIG).frames([told]).success.tolist() == [0, 1, 0, 0, 0, 1, 1, 1, 0]


def test_what_is_seen_just_before_a_success_counts_neither_way():
    frames = SuccessClassifier(replace(CONFIG, undecided_s=0.2)).frames([episode(0), episode(1, succeeds=None)])
    assert frames.success.tolist() == [0, 0, 0, 1, 1, 1, 1, *[0] * 9]
    assert frames.episode.tolist() == [0] * 7 + [1] * 9
    assert len(frames.seen["top"]) == 16


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="too few"):
        train_classifier(SuccessClassifier(CONFIG), [episode(i) for i in range(3)])
    with pytest.raises(ValueError, match="too few"):
        train_classifier(SuccessClassifier(CONFIG), [episode(i, succeeds=None) for i in range(9)])
    with pytest.raises(ValueError, match="needs a camera"):
        SuccessClassifier(replace(CONFIG, vision=VisionConfig()))


def test_a_saved_classifier_judges_alike_and_a_changed_one_is_refused(trained, tmp_path):
    classifier, quality = trained
    save_classifier(tmp_path, classifier, quality)
    loaded = load_classifier(tmp_path, {"top": SIDE, "front": 64})
    assert loaded.version == classifier.version
    seen = episode(50)
    assert [loaded.sees_success(s.observation) for s in seen.steps] == [False] * 5 + [True] * 3
    with pytest.raises(ValueError, match="--cameras top --image-size 16"):
        load_classifier(tmp_path, {"top": 64})
    text = (tmp_path / "classifier.json").read_text()
    (tmp_path / "classifier.json").write_text(text.replace(classifier.version, "0" * 16))
    with pytest.raises(ValueError, match="not as it was saved"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="train one with"):
        load_classifier(tmp_path / "none")


# -- calibration -------------------------------------------------------------------------------------------------------


def test_a_temperature_makes_overconfident_probabilities_honest():
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, generator=generator)
    success = torch.rand(4000, generator=generator) < torch.sigmoid(honest)
    boastful = 4.0 * honest
    found = best_temperature(boastful, success)
    assert found == pytest.approx(4.0, rel=0.15)
    before, after = (calibration_error(reliability(torch.sigmoid(boastful / t), success)) for t in (1.0, found))
    assert after < 0.03 < before


def test_the_threshold_is_the_lowest_of_the_stated_precision():
    probability = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    success = torch.tensor([True, True, False, True, False, False])
    assert threshold_for(1.0, probability, success) == pytest.approx(0.75)
    assert threshold_for(0.75, probability, success) == pytest.approx(0.55)
    assert threshold_for(0.5, probability, success) == pytest.approx(0.2)
    assert threshold_for(0.5, probability, success, least=0.5) == 0.5
    assert threshold_for(1.0, probability, success, least=0.5) == pytest.approx(0.75)
    assert threshold_for(0.5, probability, success, least=0.95) is None
    assert threshold_for(0.9, torch.tensor([0.9, 0.1]), torch.tensor([False, True])) is None
    assert threshold_for(0.9, torch.tensor([1.0, 1.0]), torch.tensor([False, True]), least=0.9) is None
    assert threshold_for(0.9, torch.tensor([0.5, 0.5]), torch.tensor([True, False])) is None, "ties are not told apart"


# -- episodes ----------------------------------------------------------------------------------------------------------


def test_a_stored_episode_is_judged_anew(trained):
    classifier, _ = trained
    told = episode(7)
    judged = relabelled(told, classifier)
    assert len(judged.steps) == 5, "it ends where success is first seen"
    assert [s.reward_inputs["classifier"] for s in judged.steps] == [0, 0, 0, 0, 1]
    last = judged.steps[-1]
    assert last.terminated and last.success and not last.truncated
    assert judged.final_observation is told.steps[5].observation
    assert np.array_equal(judged.final_base_action, told.steps[5].base_action)
    assert judged.header.classifier_version == classifier.version and relabelled(judged, classifier) is judged
    assert told.steps[4].reward_inputs == {}, "what was recorded stays"


def test_a_success_that_is_not_seen_is_no_termination_unless_a_person_said_so(trained):
    classifier, _ = trained
    told = episode(8, succeeds=None)
    wrong = replace(told.steps[-1], terminated=True, truncated=False, success=True)
    told.steps[-1] = wrong
    judged = relabelled(told, classifier).steps[-1]
    assert (judged.terminated, judged.truncated, judged.success) == (False, True, False)
    told.steps[-1] = replace(wrong, success=False)
    failed = relabelled(told, classifier).steps[-1]
    assert failed.terminated and not failed.success, "the guard stopped it: a failure, whatever the classifier"
    for kept in (replace(wrong, reward_inputs={"key": 1.0}), replace(wrong, source=Source.DEMO)):
        told.steps[-1] = kept
        judged = relabelled(told, classifier).steps[-1]
        assert judged.terminated and judged.reward_inputs["classifier"] == 1.0


def test_the_alarm_rings_on_a_burst_that_nobody_confirmed():
    alarm = FalsePositiveAlarm(burst=3, window=5)
    won, lost = episode(1), episode(2, succeeds=None)
    confirmed = episode(3)
    confirmed.steps[-1] = replace(confirmed.steps[-1], reward_inputs={"key": 1.0})
    assert [alarm.rings(e) for e in (won, lost, won, confirmed, won, won, lost, won)] == [False] * 7 + [True]
    assert [alarm.rings(e) for e in (won, won, lost, lost, lost, lost, won)] == [False] * 7, (
        "it counts anew, and forgets"
    )
    thrown = replace(won, discarded=True)
    assert not any(alarm.rings(thrown) for _ in range(9)) and not alarm.rings(won), "what was thrown away says nothing"
