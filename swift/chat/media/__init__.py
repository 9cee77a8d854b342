"""Media in conversations: the model's own processor turns text and media into ids and tensors."""
