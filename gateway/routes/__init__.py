"""Routes by noun: each takes a request apart, calls one function, and shapes the answer."""
