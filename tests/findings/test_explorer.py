"""What is said at each rate of the explorer, word for word."""

from dataclasses import replace

from dropclust.core.intervals import Interval, mean_interval
from dropclust.experiments import results
from dropclust.findings.explorer import AXES, Reading, alts, question


def reading(n: int = 20, **changes) -> Reading:
    def about(mean: float, half: float) -> Interval:
        return Interval(mean, mean - half, mean + half, n, 0.95) if n > 1 else mean_interval([mean])

    return Reading(
        rate=0.4,
        rand=about(0.79, 0.01),
        chance=0.75,
        chance_low=0.73,
        chance_high=0.77,
        adjusted=about(0.18, 0.02),
        scaled=about(0.951, 0.002),
        sampled=about(0.953, 0.002),
        agree=41,
        agree_chance=24.4,
        dead=5,
        units=100,
        dead_mean=4.85,
        **changes,
    )


def test_the_words_of_a_reading():
    texts = {name: text.replace("**", "") for name, text in reading().texts.items()}
    assert texts["finding"] == "With dropout 0.40, twins were not counted: no result here"
    assert texts["right"] == "Digits read right: 95.1 %"
    assert texts["rand"] == "Rand .79, chance .75 (band .73 to .77)"
    assert texts["rand-note"] == "20 seeds, 95 % interval .78 to .80"
    assert texts["adjusted"] == "adjusted Rand .18 ± .02"
    assert texts["accuracy"] == "accuracy .951 scaled / .953 sampled"
    assert texts["accuracy-note"] == "20 seeds, 95 % interval 94.9 to 95.3; sampled 95.3, 95.1 to 95.5"
    assert texts["dead"] == "dead neurons 5 of 100"
    assert texts["agree"] == "agreeing 41 of 100, by chance 24"
    assert reading().sentence == (
        "Dropout rate 0.40: Rand .79, chance .75 (band .73 to .77); adjusted Rand .18 ± .02; "
        "accuracy .951 scaled / .953 sampled; dead neurons 5 of 100."
    )


def test_one_seed_has_no_interval_and_says_so():
    texts = reading(n=1).texts
    assert texts["adjusted"] == "adjusted Rand **.18**"
    assert texts["rand-note"] == "one seed: no interval"
    assert texts["accuracy-note"] == "one seed: no interval; sampled 95.3"


def test_twins_are_counted_in_the_shown_network_and_averaged_over_seeds():
    both = reading(twins=Interval(0.26, 0.24, 0.28, 20, 0.95), with_twin=31)
    assert both.texts["twins"] == "twins in 20 networks: **26 %** ± 2"
    assert both.texts["finding"] == "With dropout **0.40**, **31** of 100 neurons have a twin, 5 are dead"
    assert (
        both.finding == "With dropout 0.40, 31 of 100 neurons have a twin, 5 are dead; 95.1 % of unseen digits are read right."
    )
    assert both.groups == ("One network: 31 with a twin", "69 without a twin, 5 of them dead")
    assert both.texts["twins-note"] == (
        "mean share of the living neurons, 95 % interval 24 to 28 %; the 100 neurons drawn are of one network, 5 of them dead"
    )
    assert both.sentence.endswith("dead neurons 5 of 100. With dropout 0.40, 31 of 100 neurons have a twin.")
    assert reading(twins=mean_interval([0.26])).texts["twins"] == "twins in one network: **26 %**"
    few = Interval(0.0021, 0.0011, 0.0031, 20, 0.95)  # a narrow interval allows a digit more
    assert reading(twins=few).texts["twins"] == "twins in 20 networks: **0.2 %** ± 0.1"
    assert reading().texts["twins"] == "twins: no result here"
    assert "neurons have a twin" not in reading().sentence
    one = replace(reading(with_twin=1), dead=1)
    assert one.finding.startswith("With dropout 0.40, 1 of 100 neurons has a twin, 1 is dead;")
    none = replace(reading(with_twin=2), dead=0)
    assert none.texts["finding"] == "With dropout **0.40**, **2** of 100 neurons have a twin"
    assert none.finding.startswith("With dropout 0.40, 2 of 100 neurons have a twin;")


def test_what_twins_have_to_do_with_the_rand_index():
    texts = {
        name: text.replace("**", "")
        for name, text in reading(with_twin=31, both_groups=17, both_groups_pairs=0.035).texts.items()
    }
    assert texts["bridge"] == (
        "Twins act alike. The paper asks: do neurons grouped by what they receive (incoming weights) fall into the same groups "
        "as by what they send (outgoing)? Copies would. Here 17 of the 31 neurons with a twin share both groups with it, 55 in "
        "100; of all neurons, 4 in 100 share both with one picked at random."
    )
    assert texts["counted"] == (
        "The Rand index is the share of all pairs that both groupings treat alike, together or apart: .79. Most of it is "
        "chance: groups dealt at random give .75. The adjusted Rand index, .18, is rescaled: 0 is chance, 1 is perfect. "
        "It is no share of neurons, and not the difference of the two."
    )
    none = reading(with_twin=0, both_groups_pairs=0.02).texts["bridge"]
    assert none.endswith("Here no neuron has a twin; of all neurons, 2 in 100 share both with one picked at random.")
    assert reading().texts["bridge"].endswith("Copies would.")
    assert (
        "Here **1** of the one neuron with a twin shares both groups with it; of all neurons, 0 in 100"
        in reading(with_twin=1, both_groups=1, both_groups_pairs=0).texts["bridge"]
    )


def test_how_many_would_have_a_twin_by_chance():
    assert reading(with_twin=31, chance_twins_digit=8).texts["chance"] == (
        "**By chance 0** would have one: so many are left when each neuron's activity is shuffled over the images; **8** when "
        "only over images of the same digit."
    )
    assert reading().texts["chance"] == ""


def test_the_question_tells_nothing_of_its_answer():
    asked = question(replace(reading(with_twin=0), rate=0.0))
    assert "none of these 100 neurons has a **twin**" in asked.text
    assert "2 of these 100 neurons have a **twin**" in question(reading(with_twin=2)).text
    assert asked.answered.format(guess=30, answer=70) == "You expected 30; it is 70."


def test_axes_hold_what_any_choice_shows():
    for recipe in ("modern", "paper"):
        table = results.read(f"table2-{recipe}").table.query("width == 100").groupby(["layer", "k", "dropout"])
        for column, chart in (("rand", "rand"), ("adjusted_rand", "adjusted"), ("twins", "twins")):
            low, high = AXES[chart]
            assert low <= table[column].mean().min()
            assert table[column].mean().max() <= high


def test_the_charts_in_words():
    told = alts([reading(), reading(twins=Interval(0.26, 0.24, 0.28, 20, 0.95))], "modern", 1, 10)
    assert told["twins"] == (
        "Share of the living neurons that have a twin, modern recipe, layer 1, 10 clusters, mean over 20 seeds, against the "
        "dropout rate: no number at 0.40, highest .26 at 0.40, at last .26 at 0.40."
    )
    assert alts([reading(n=1)], "paper", 2, 5)["twins"] == "Twins: no result here."
    assert "mean over 1 seed," in alts([reading(n=1)], "paper", 2, 5)["rand"]
