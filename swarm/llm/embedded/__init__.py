"""The tiny language models that travel with the code: their tokenizer, their weights and the engine that runs them."""
