"""The router: the pages in their order, what stands around them, nothing else."""

from dropclust.experiments import figure1, figure2, figure3, onset, table1
from dropclust.findings import explorer, questions
from dropclust.service import dashboard
from dropclust.ui import live
from dropclust.ui.shell import Entry, Shell

PAGES = (
    Entry("See", "explore", "Explore", "bubble_chart", explorer.QUESTION),
    Entry("See", "live", "Live", "touch_app", questions.LIVE),
    Entry("See", "onset", "When do copies form?", "toggle_on", onset.EXPERIMENT.question),
    Entry("Do", "train", "Train", "model_training", questions.TRAIN),
    Entry("Do", "compress", "Compress", "compress", questions.COMPRESS),
    Entry("Do", "digit", "Draw a digit", "draw", questions.DIGIT),
    Entry("Check", "sample", "Sample or scale", "casino", figure1.EXPERIMENT.question),
    Entry("Check", "batch", "Batch size", "stacked_bar_chart", table1.EXPERIMENT.question),
    Entry("Check", "variance", "Model variance", "show_chart", figure2.EXPERIMENT.question),
    Entry("Check", "similar", "Similar neurons", "hub", questions.SIMILAR),
    Entry("Check", "power", "Power law", "trending_down", figure3.EXPERIMENT.question),
    Entry("Check", "claims", "Does it hold?", "fact_check", questions.CLAIMS),
)

dashboard.ask_nobody()  # `streamlit run` too must not freeze for all when a foreign page knocks
dashboard.keep_files()
dashboard.look_up_alone()
shell = Shell(PAGES)
shell.configure()
live.admit()
page = shell.open()
page.run()
shell.close(page)
live.settle(page.title)
