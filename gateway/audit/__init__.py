"""`scg audit`: the determinism test before deployment, against any OpenAI-compatible URL.

spec, prompts, questions, schedule    what to ask, in which order, what together
ask/        asks it
heard, journal                        every answer in a file as it comes, so that nothing is asked twice
find/       what the answers mean
report/     shows it
"""
