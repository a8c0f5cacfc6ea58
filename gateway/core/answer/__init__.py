"""What counts as the same answer, kind by kind: text in, canonical form out, None where there is none.

The canonical form alone decides equality, and nothing is similar to anything: 41 is not 42. A form that
cannot be read without a guess is no answer, since a split vote costs agreement and a wrong merge an answer.
"""
