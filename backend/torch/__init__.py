"""An OpenAI server over PyTorch with continuous batching.

`server` takes requests in, `engine` runs `scheduler` steps in a thread, `scheduler` decides who computes,
`batch` holds the padded key-value cache, `model` does the arithmetic, `sampler` picks tokens, `text` turns
them into characters, `replies` writes them out.
"""
