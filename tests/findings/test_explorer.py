"""What is said at each rate of the explorer, word for word."""

from dropclust.core.intervals import Interval, mean_interval
from dropclust.findings.explorer import Reading, alts


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
    assert texts["rate"] == "dropout rate 0.40"
    assert texts["rand"] == "Rand .79, chance .75 (band .73 to .77)"
    assert texts["rand-note"] == "20 seeds, 95 % interval .78 to .80"
    assert texts["adjusted"] == "adjusted Rand .18 ± .02"
    assert texts["accuracy"] == "accuracy .951 scaled / .953 sampled"
    assert texts["accuracy-note"] == "20 seeds, 95 % interval .949 to .953; .951 to .955"
    assert texts["dead"] == "dead neurons 5 of 100"
    assert texts["agree"] == "agreeing 41 of 100, by chance 24"
    assert reading().sentence == (
        "Dropout rate 0.40: Rand .79, chance .75 (band .73 to .77); adjusted Rand .18 ± .02; "
        "accuracy .951 scaled / .953 sampled; dead neurons 5 of 100."
    )


def test_one_seed_has_no_interval_and_says_so():
    texts = reading(n=1).texts
    assert texts["adjusted"] == "adjusted Rand **.18**"
    assert texts["rand-note"] == texts["accuracy-note"] == "one seed: no interval"


def test_twins_are_counted_in_the_shown_network_and_averaged_over_seeds():
    both = reading(twins=Interval(0.26, 0.24, 0.28, 20, 0.95), with_twin=31)
    assert both.texts["twins"] == "twins **.26** ± .02 of the living"
    assert both.texts["twin"] == "with a twin **31** of 100"
    assert both.texts["twins-note"] == ("activations on held-out images correlate above .9; 20 seeds, 95 % interval .24 to .28")
    assert both.sentence.endswith("dead neurons 5 of 100. With dropout 0.40, 31 of 100 neurons have a twin.")
    assert reading(twins=mean_interval([0.26])).texts["twins"] == "twins **.26** of the living"
    assert reading().texts["twins"] == "twins: no result here"
    assert reading().texts["twin"] == ""
    assert "twin" not in reading().sentence


def test_the_charts_in_words():
    told = alts([reading(), reading(twins=Interval(0.26, 0.24, 0.28, 20, 0.95))], "modern", 1, 10)
    assert told["twins"] == (
        "Share of the living neurons that have a twin, modern recipe, layer 1, 10 clusters, mean over 20 seeds, against the "
        "dropout rate: no number at 0.40, highest .26 at 0.40, at last .26 at 0.40."
    )
    assert alts([reading(n=1)], "paper", 2, 5)["twins"] == "Twins: no result here."
    assert "mean over 1 seed," in alts([reading(n=1)], "paper", 2, 5)["rand"]
