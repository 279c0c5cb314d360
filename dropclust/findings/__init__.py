"""What is said about a result: a data frame in, a frozen object with sentence, table and series out. It knows no page."""
