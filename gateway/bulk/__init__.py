"""`scg bulk`: votes on many prompts from a file, through a gateway, with the agreement of each.

jobs        the lines of the input, checked before anything is asked
record      a line of the output, and what it says
answers     the output file: each line as it comes, none twice, none lost
run         asks all that is left
session     from the flags to the last answer
summary     what it all comes to
"""
