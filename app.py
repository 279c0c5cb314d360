"""The router: the pages in their order, what stands around them, nothing else."""

from dropclust.experiments import figure1, figure2, figure3, onset, table1
from dropclust.findings import explorer
from dropclust.service import dashboard
from dropclust.ui import live
from dropclust.ui.shell import Entry, Shell, configure

PAGES = (
    Entry("See", "explore", "Explore", "bubble_chart", explorer.QUESTION),
    Entry("See", "live", "Live", "touch_app", "What does dropout do while a network learns?"),
    Entry("See", "onset", "When do copies form?", "toggle_on", onset.EXPERIMENT.question),
    Entry("Do", "train", "Train", "model_training", "What does your own network learn?"),
    Entry("Do", "compress", "Compress", "compress", "Can neurons that act alike be merged?"),
    Entry("Do", "digit", "Draw a digit", "draw", "Can it read your writing?"),
    Entry("Check", "sample", "Sample or scale", "casino", figure1.EXPERIMENT.question),
    Entry("Check", "batch", "Batch size", "stacked_bar_chart", table1.EXPERIMENT.question),
    Entry("Check", "variance", "Model variance", "show_chart", figure2.EXPERIMENT.question),
    Entry("Check", "similar", "Similar neurons", "hub", "How much of the Rand index is chance?"),
    Entry("Check", "power", "Power law", "trending_down", figure3.EXPERIMENT.question),
    Entry("Check", "claims", "Does it hold?", "fact_check", "Which of the paper's claims hold?"),
)

dashboard.ask_nobody()  # `streamlit run` too must not freeze for all when a foreign page knocks
dashboard.keep_downloads()
dashboard.look_up_alone()
configure()
live.admit()
shell = Shell(PAGES)
page = shell.open()
page.run()
shell.close(page)
live.settle(page.title)
