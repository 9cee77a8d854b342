"""`swift deploy`: an OpenAI- and Anthropic-compatible server in front of an engine.

Two processes. The server (FastAPI over uvicorn) answers HTTP and holds neither torch nor a model, so it stays quick
whatever the model does. The engine host is its child: it renders, tokenizes and generates. They talk over a pipe
(`swift.serving.link`); where the host dies, the server says 503 and starts it again.
"""
