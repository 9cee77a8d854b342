"""OpenAI's `/v1/responses`, without anything that is kept from one request to the next."""
