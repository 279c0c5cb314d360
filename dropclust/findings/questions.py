"""What those pages ask that show several experiments or none: their title, and the way to them from the page before."""

LIVE = "Switch dropout on: do copies form?"
TRAIN = "What does dropout do to a network?"
COMPRESS = "Can neurons that act alike be merged?"
DIGIT = "Can it read your writing?"
SIMILAR = "How much of the Rand index is chance?"
CLAIMS = "Which of the paper's claims hold?"
