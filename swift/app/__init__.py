"""`swift app`: a page in the browser over a server that speaks OpenAI's language, ours or another.

What is said and shown is worked out by plain functions (`talk`, `wish`, `show`) and by sessions (`session`), which know
no gradio; `page` lays it out with gradio, `gate` stands in front of it, and `child` runs the server that is started.
"""
