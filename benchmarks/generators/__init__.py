"""One file a way to generate; each is run as a script, in a process of its own.

A script gets the name of a JSON file: `model` (folder), `dtype`, `rows` (sequences at a time), `prompts` (token ids)
and `lengths` (new tokens that each answer must have, stop tokens or not). It answers all of them once to warm up, as
far as `warm` says, then measures, and prints one line of JSON: `seconds`, and the `answers` as token ids.
"""
