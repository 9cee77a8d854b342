"""The pipe between the server's process and the engine host's."""
