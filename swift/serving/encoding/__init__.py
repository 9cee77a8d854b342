"""`/v1/embeddings`, `/v1/rerank`, `/v1/score`, `/classify` and `/pooling`: numbers in place of answers."""
