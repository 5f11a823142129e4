"""Safety checks for prompts and answers: word lists, patterns, names, personal data and a classifier.

Everything but the classifier runs in memory, so that a refusal by these rules is decided before anything slow begins.
The classifier, which judges what a sentence means, runs in the model server and depends on that server being reachable.
"""
