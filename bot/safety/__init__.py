"""What is looked at before it is asked, and before an answer is shown: a row of small checkers.

Words, patterns, names and personal data are found from memory, so that a refusal is decided before anything slow; what
a sentence means is asked of the model server's classifier, which is only as good as it is there.
"""
