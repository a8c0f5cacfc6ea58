"""An OpenAI server over PyTorch with continuous batching.

`server` takes requests in, `protocol` reads them, `engine` runs `scheduler` steps in a thread, `scheduler` decides
who computes, `pool` holds all keys and values, `padded` and `invariant` are two ways of computing, `model` has the
weights, `sampler` picks tokens, `grammar` says which may come, `text` turns them into characters, `replies` writes
them out.
"""
